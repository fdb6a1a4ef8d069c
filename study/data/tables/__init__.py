"""Tables as vendors deliver them: layout, numbers, times; from a text file to columns of numbers over time."""
