"""Scripted agents: pure functions of what an agent sees; what learners are measured against."""
