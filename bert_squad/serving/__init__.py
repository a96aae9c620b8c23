"""SavedModels that answer questions from plain strings, for TF Serving and anything else that loads them."""
