"""Gradient measures beside truths: closed forms, textbooks, slow twins. `python -m study.verify` prints them."""
