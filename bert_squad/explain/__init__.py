"""Why an answer is the maximum scoring span: facts of one question, and the ways of showing them."""
