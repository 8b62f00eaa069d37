// y[i] = a * x[i] + y[i], one work-item per channel.
// Arguments (first 32 bytes of the argument block, in r2): x and y (64 bits), a, n, work-items per group.
.simd 16
.reg local  r1                           // local ids in x, as 16-bit numbers
.reg args   r2
.reg i      r10
.reg px     r14
.reg py     r16
.reg x      r20
.reg y      r21

        mad   i:d   local:uw   r0.1<0;0>:d   args.12<0>:uw      // local id + group id * size
        cmp (lt)f0.0 null:d   i:d   args.5<0;1,0>:d             // beyond n: nothing to do
(~f0.0) goto  done done
        mov   r12:q   i:d
        shl   r12:q   r12:q   2:w
        add   px:q    r12:q   args.0<0;1,0>:q
        add   py:q    r12:q   args.1<0;1,0>:q
        load.ugm.d32.a64 (16|M0)  x px
        load.ugm.d32.a64 (16|M0)  y py
        mad   y:f   y:f   x:f   args.4<0>:f
        store.ugm.d32.a64 (16|M0) py y
done:   join  end
end:    eot   r0
