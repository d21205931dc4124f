"""What Prefect runs. Orchestration only: no machine learning, no storage."""
