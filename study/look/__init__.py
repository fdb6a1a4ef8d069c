"""What the product sees in a file, by the readers that training uses: `study-look FILE`. No torch here."""
