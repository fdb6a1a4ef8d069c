"""From tracked runs to answers: tables, figures and a page. Never trains."""
