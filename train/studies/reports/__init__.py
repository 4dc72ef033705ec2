"""Reports on studies: tables, figures and files. What computes them imports nothing from here."""
