"""A study of kernel sizes: a grid of trainings that differ in the kernel alone, and the report on what they gave."""
