"""Read SQuAD files, cut passages into windows, and store them as TFRecords."""
