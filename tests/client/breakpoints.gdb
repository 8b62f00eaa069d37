# Runs the client to its end through a breakpoint that it meets again and again, with memory in VRAM; the first time
# it steps over calls into the engine. Ends with the client's status; a client that does not end by itself has none.
break kit_store32
run
next
next
next
next
set $stops = 1
commands 1
  silent
  set $stops = $stops + 1
  continue
end
continue
if $stops < 40
  printf "the breakpoint was met %d times\n", $stops
  quit 99
end
quit $_exitcode
