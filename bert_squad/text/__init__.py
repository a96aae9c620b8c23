"""Turn text into WordPieces, and a prediction in WordPieces back into text. No TensorFlow here."""
