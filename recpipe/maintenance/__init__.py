"""What has to be swept from time to time, and whether an installation is sound."""
