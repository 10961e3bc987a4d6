"""Records of a run outside its folder (MLflow), and the way from a record back to a stage."""
