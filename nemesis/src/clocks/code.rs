//! What is written into a process: x86-64 machine code, and behind it a table that says how its clocks shall go.
//!
//! ```text
//!   vDSO of the process:   clock_gettime: jmp ─┐   gettimeofday: jmp ─┐   time: jmp ─┐   …   zeros at its end
//!                                              └──────────────────────┴──────────────┴─► code, table
//! ```
//!
//! The one idea: the kernel is asked by system call, which nobody has bent, and what it says is passed through one *line*, for wall
//! clocks or for monotonic ones: `now + JUMP + RATE * (now - base)`, with a switch to fold time (a clock that sways), one to add
//! nothing in every other turn (a strobe), and a least value of what is added (a clock that is made to catch up).

use super::Line;

/// Where `gettimeofday` begins in [`CODE`]; `clock_gettime` is at its start.
pub(super) const GETTIMEOFDAY: u64 = 0x90;
/// Where `time` begins.
pub(super) const TIME: u64 = 0xd0;
/// Where a thread is sent that shall read a clock: it asks the kernel, the process's own function, and the kernel again, 16 bytes
/// of answer each.
pub(super) const LOOK: u64 = 0xf0;
/// Where it stays when it has.
pub(super) const WAIT: u64 = 0x113;
/// Clocks that have a number here.
pub(super) const CLOCKS: usize = 12;
/// Those of them that tell the time of day (REALTIME, its coarse and alarm kinds, TAI), as bits.
pub(super) const WALL_CLOCKS: u32 = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 11;
/// And with them those that only go forward (MONOTONIC, its raw and coarse kinds, BOOTTIME and its alarm kind).
pub(super) const BENT_CLOCKS: u32 = WALL_CLOCKS | 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9;
/// Bytes of code and table.
pub(super) const SLOT: u64 = CODE.len() as u64 + (CLOCKS as u64 + 2 * 6) * 8;

/// The table: what each clock read when the change began (0 for one that is left alone), then the two lines.
pub(super) fn table(bases: &[i64; CLOCKS], wall: &Line, monotonic: &Line) -> Vec<u8> {
    let line = |line: &Line| [line.fold, line.mask, line.rate, line.jump_ns, line.gate, line.floor_ns];
    let words = bases.iter().copied().chain(line(wall)).chain(line(monotonic));
    words.flat_map(i64::to_le_bytes).collect()
}

/// A jump from `from` to `to`, five bytes long.
pub(super) fn jump(from: u64, to: u64) -> [u8; 5] {
    let distance = to.wrapping_sub(from + 5) as i32;
    let [a, b, c, d] = distance.to_le_bytes();
    [0xe9, a, b, c, d] // jmp to, counted from the next instruction
}

/// The code. It uses registers only that a function may, and some 60 bytes of stack.
#[rustfmt::skip]
pub(super) const CODE: [u8; 0x120] = [
    // clock_gettime(edi = clock, rsi = answer)
    0xb8, 0xe4, 0x00, 0x00, 0x00, // 00: mov eax, 0xe4; the kernel's own answer, by system call: clock_gettime
    0x0f, 0x05, // 05: syscall
    0x85, 0xc0, // 07: test eax, eax; an error, or none?
    0x75, 0x7d, // 09: jne 88; an error goes back as it is, to the ret below
    0x83, 0xff, 0x0b, // 0b: cmp edi, 0xb; clocks are numbered 0 to 11 here; of threads and devices, beyond
    0x77, 0x78, // 0e: ja 88; those are left alone
    0x4c, 0x8d, 0x0d, 0x09, 0x01, 0x00, 0x00, // 10: lea r9, [rip+0x109]; the table behind this code
    0x89, 0xf9, // 17: mov ecx, edi
    0x4d, 0x8b, 0x04, 0xc9, // 19: mov r8, [r9+rcx*8]; what this clock read when the change began
    0x4d, 0x85, 0xc0, // 1d: test r8, r8; nothing:
    0x74, 0x66, // 20: je 88; a clock that is left alone
    0x49, 0x83, 0xc1, 0x60, // 22: add r9, 0x60; past the twelve bases: the line of wall clocks
    0xb8, 0x21, 0x09, 0x00, 0x00, // 26: mov eax, 0x921; wall clocks: 0, 5, 8 and 11
    0x0f, 0xa3, 0xf8, // 2b: bt eax, edi; is it one?
    0x72, 0x04, // 2e: jb 34
    0x49, 0x83, 0xc1, 0x30, // 30: add r9, 0x30; no: the line of monotonic clocks
    0x4c, 0x69, 0x16, 0x00, 0xca, 0x9a, 0x3b, // 34: imul r10, [rsi], 0x3b9aca00; seconds of the answer, in nanoseconds
    0x4c, 0x03, 0x56, 0x08, // 3b: add r10, [rsi+0x8]; and its nanoseconds: `now`
    0x4c, 0x89, 0xd0, // 3f: mov rax, r10
    0x4c, 0x29, 0xc0, // 42: sub rax, r8; `passed`: since the change began
    0x49, 0x89, 0xc0, // 45: mov r8, rax; kept for the gate
    0x49, 0x85, 0x01, // 48: test [r9], rax; FOLD: is this a turn in which a swaying clock goes back?
    0x74, 0x03, // 4b: je 50
    0x48, 0xf7, 0xd0, // 4d: not rax; then it counts down
    0x49, 0x23, 0x41, 0x08, // 50: and rax, [r9+0x8]; MASK: time within the turn, or all of it
    0x49, 0xf7, 0x69, 0x10, // 54: imul [r9+0x10]; RATE: 128 bits of product
    0x48, 0x0f, 0xac, 0xd0, 0x20, // 58: shrd rax, rdx, 0x20; of which 32 are a fraction
    0x49, 0x03, 0x41, 0x18, // 5d: add rax, [r9+0x18]; JUMP
    0x4d, 0x85, 0x41, 0x20, // 61: test [r9+0x20], r8; GATE: is this a turn in which a strobe is off?
    0x74, 0x02, // 65: je 69
    0x31, 0xc0, // 67: xor eax, eax; then nothing is added
    0x49, 0x3b, 0x41, 0x28, // 69: cmp rax, [r9+0x28]; FLOOR: what is added is never less than this
    0x49, 0x0f, 0x4c, 0x41, 0x28, // 6d: cmovl rax, [r9+0x28]
    0x4c, 0x01, 0xd0, // 72: add rax, r10; what the clock shall read
    0xb9, 0x00, 0xca, 0x9a, 0x3b, // 75: mov ecx, 0x3b9aca00; nanoseconds of a second
    0x31, 0xd2, // 7a: xor edx, edx
    0x48, 0xf7, 0xf1, // 7c: div rcx
    0x48, 0x89, 0x06, // 7f: mov [rsi], rax; seconds of the new answer
    0x48, 0x89, 0x56, 0x08, // 82: mov [rsi+0x8], rdx; and its nanoseconds
    0x31, 0xc0, // 86: xor eax, eax; it went well
    0xc3, // 88: ret
    0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00, // 89: padding
    // gettimeofday(rdi = answer, rsi = time zone)
    0x48, 0x85, 0xff, // 90: test rdi, rdi; is a time wanted?
    0x74, 0x25, // 93: je ba
    0x56, // 95: push rsi; the time zone and
    0x57, // 96: push rdi; the time are kept
    0x48, 0x83, 0xec, 0x10, // 97: sub rsp, 0x10; room for seconds and nanoseconds
    0x31, 0xff, // 9b: xor edi, edi; the wall clock, 0
    0x48, 0x89, 0xe6, // 9d: mov rsi, rsp
    0xe8, 0x5b, 0xff, 0xff, 0xff, // a0: call 0; clock_gettime of above
    0x41, 0x58, // a5: pop r8; seconds
    0x58, // a7: pop rax; nanoseconds
    0x5f, // a8: pop rdi
    0x5e, // a9: pop rsi
    0xb9, 0xe8, 0x03, 0x00, 0x00, // aa: mov ecx, 0x3e8; nanoseconds of a microsecond
    0x31, 0xd2, // af: xor edx, edx
    0xf7, 0xf1, // b1: div ecx
    0x4c, 0x89, 0x07, // b3: mov [rdi], r8; seconds of the answer
    0x48, 0x89, 0x47, 0x08, // b6: mov [rdi+0x8], rax; its microseconds
    0x31, 0xc0, // ba: xor eax, eax; it went well
    0x48, 0x85, 0xf6, // bc: test rsi, rsi; is a time zone wanted?
    0x74, 0x09, // bf: je ca
    0x31, 0xff, // c1: xor edi, edi; the kernel knows it: gettimeofday without a time
    0xb8, 0x60, 0x00, 0x00, 0x00, // c3: mov eax, 0x60
    0x0f, 0x05, // c8: syscall
    0xc3, // ca: ret
    0x0f, 0x1f, 0x44, 0x00, 0x00, // cb: padding
    // time(rdi = answer, or nothing)
    0x57, // d0: push rdi; where the answer shall be kept, if anywhere
    0x48, 0x83, 0xec, 0x10, // d1: sub rsp, 0x10; room for seconds and nanoseconds
    0xbf, 0x05, 0x00, 0x00, 0x00, // d5: mov edi, 0x5; the coarse wall clock, 5, which time() reads
    0x48, 0x89, 0xe6, // da: mov rsi, rsp
    0xe8, 0x1e, 0xff, 0xff, 0xff, // dd: call 0; clock_gettime of above
    0x58, // e2: pop rax; seconds
    0x59, // e3: pop rcx; nanoseconds are not wanted
    0x5f, // e4: pop rdi
    0x48, 0x85, 0xff, // e5: test rdi, rdi; shall it be kept?
    0x74, 0x03, // e8: je ed
    0x48, 0x89, 0x07, // ea: mov [rdi], rax
    0xc3, // ed: ret
    0x66, 0x90, // ee: padding
    // look(edi = clock, rsi = answers, rdx = function)
    0x89, 0xfb, // f0: mov ebx, edi; nothing of this need be kept, for all registers are set back
    0x48, 0x89, 0xf5, // f2: mov rbp, rsi; where the answers go: truth, reading, truth
    0x49, 0x89, 0xd4, // f5: mov r12, rdx; the function that the process reads clocks with
    0xb8, 0xe4, 0x00, 0x00, 0x00, // f8: mov eax, 0xe4; the truth, by system call
    0x0f, 0x05, // fd: syscall
    0x48, 0x8d, 0x75, 0x10, // ff: lea rsi, [rbp+0x10]; the second answer
    0x41, 0xff, 0xd4, // 103: call r12; whatever the function begins with
    0x89, 0xdf, // 106: mov edi, ebx; the clock again
    0x48, 0x8d, 0x75, 0x20, // 108: lea rsi, [rbp+0x20]; the third answer
    0xb8, 0xe4, 0x00, 0x00, 0x00, // 10c: mov eax, 0xe4; the truth once more
    0x0f, 0x05, // 111: syscall
    // the place to wait
    0xf3, 0x90, // 113: pause; a thread that was sent to read a clock stays here
    0xeb, 0xfc, // 115: jmp 113
    0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00, // 117: padding
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Distances in the code are counted by hand.
    #[test]
    fn what_the_code_points_at_is_there() {
        let at = |offset: u64| &CODE[offset as usize..];
        assert!(at(WAIT).starts_with(&[0xf3, 0x90, 0xeb, 0xfc]));
        assert!(at(LOOK).starts_with(&[0x89, 0xfb]) && at(GETTIMEOFDAY).starts_with(&[0x48, 0x85, 0xff]));
        assert!(at(TIME).starts_with(&[0x57]) && CODE.len().is_multiple_of(16));
        let word = |offset: usize| i32::from_le_bytes(CODE[offset..offset + 4].try_into().expect("4 bytes"));
        assert_eq!((0x17 + word(0x13)) as usize, CODE.len(), "the table follows the code");
        for call in [0xa0, 0xdd] {
            assert_eq!(call + 5 + word(call as usize + 1), 0, "clock_gettime is at the start");
        }
        assert_eq!(word(0x27).cast_unsigned(), WALL_CLOCKS);
        assert_eq!(jump(0x1000, 0x0ff0), [0xe9, 0xeb, 0xff, 0xff, 0xff]);
    }
}
