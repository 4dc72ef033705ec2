"""Playing and measuring: who plays, realms played side by side or one by one, what is counted, recorded play."""
