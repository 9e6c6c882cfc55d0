"""Training rows of the `retrieval` adapter: question and documents in, short cited answer (or none) out."""
