"""Our measures for any LightningModule: a callback that sees updates and recurrent layers without being asked for."""
