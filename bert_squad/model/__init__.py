"""The BERT encoder and the span head, as Keras layers."""
