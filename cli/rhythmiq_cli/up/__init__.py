"""`rhythmiq up`: the whole mesh on one machine, as child processes of one supervisor."""
