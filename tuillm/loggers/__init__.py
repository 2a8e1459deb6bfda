"""Sends a run's metrics to TensorBoard, wandb, trackio or CSV files, while it goes or afterwards.

Reads the files of the run folder alone, so that training never waits for any of them.
"""
