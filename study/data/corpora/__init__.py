"""Corpora as they are delivered: words with labels in columns or as word/tag, running text, label schemes."""
