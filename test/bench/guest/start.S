# Entry of the bare-metal benchmark programs: a stack, main, and the end through HTIF: exit status in a0.
  .section .text.start
  .globl _start
_start:
  li t0, 0x2000          # mstatus.FS = Initial
  csrs mstatus, t0
  la sp, stack_top
  call main
  slli a0, a0, 1
  ori a0, a0, 1
  la t0, tohost
  sd a0, 0(t0)
1: j 1b
  .section .tohost, "aw"
  .balign 64
  .globl tohost
  .type tohost, @object
  .size tohost, 8
tohost: .dword 0
  .globl fromhost
  .type fromhost, @object
  .size fromhost, 8
fromhost: .dword 0
  .bss
  .balign 16
  .zero 65536
stack_top:
