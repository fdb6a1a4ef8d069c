"""A trained network, taken home: its weights loaded, used on new data, exported to where this package is not."""
