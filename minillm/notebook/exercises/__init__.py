"""Say what each notebook asks of its reader: eNN.EXERCISES, in the order of the notebook."""
