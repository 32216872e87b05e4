"""What a user asks for as a whole: complete settings in, a result out. The commands and the Python API call these.

A task joins the rooms below it. It takes a `Progress` to report to and a `Stop` to ask between two steps; it names no
flags, prints nothing and never ends the process.
"""
