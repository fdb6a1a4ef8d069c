"""Tracked runs to answers: tables, pictures, one page. Never trains."""
