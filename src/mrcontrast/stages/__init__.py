"""The stages of training, each a LightningModule; none imports another."""
