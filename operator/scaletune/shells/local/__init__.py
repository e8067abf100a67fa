"""The local shell: a Study run as processes of this machine, its state in a folder.

folder      what is stored: Study and Trials as the YAML that kubectl would show
lock        one run on a folder at a time
processes   starting, seeing and ending a trial's processes
hearing     what trainers say: metrics endpoint, termination message, journal
intake      what was heard becomes records
ledger_file the run's ledger, as `scaletune replay` reads it
turn        one turn of the loop: look, observe, plan, store, act, summarise
run         from the Study file to its end
"""
