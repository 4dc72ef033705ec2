"""What is told of studies: tables, figures and files. What computes them imports nothing from here."""
