"""Rows that ask, in any number: one after the other (`rows`), or by many workers (`beam`)."""
