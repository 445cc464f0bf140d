package modelformat

import "encoding/binary"

// looksLikePickle reports whether head begins as pickles do since protocol 2.
func looksLikePickle(head []byte) bool {
	return len(head) >= 2 && head[0] == 0x80 && head[1] <= 5
}

// A pickleWalk follows a file as a pickle machine would, without doing anything.
//
// Protocols 0 and 1 have no magic number, and a machine that reads one runs what
// it is told before it finds that the rest makes no sense. So a file counts as a
// pickle as soon as a machine would have called something, or come to the end of
// a program that imports or that is the whole file. Nearly every other file fails
// within a few bytes: on an operation that there is none, or one that lacks its
// operands.
type pickleWalk struct {
	size int64 // of the file

	at    int64
	done  bool
	is    bool
	items uint64   // on the stack above the last mark
	marks []uint64 // items below each mark
	named bool     // something was imported, or asked of whoever reads
	put   bool     // something was remembered, so that it can be got

	op    byte   // whose argument is being read, 0 if none
	need  int    // bytes of the argument that are missing; counts and numbers
	arg   []byte // those that came
	skip  uint64 // bytes of content to pass over
	lines int    // lines that are missing
	first bool   // the next byte begins a line
}

// mostMarks bounds what the walk remembers. No honest file of another format
// gets near, so beyond it the file counts as a pickle.
const mostMarks = 1 << 16

func (p *pickleWalk) found() bool { return p.is }

func (p *pickleWalk) write(b []byte) {
	for len(b) > 0 && !p.done {
		switch {
		case p.skip > 0:
			n := min(p.skip, uint64(len(b)))
			p.skip -= n
			p.at += int64(n)
			b = b[n:]
			continue
		case p.need > 0:
			p.arg = append(p.arg, b[0])
			if p.need--; p.need == 0 {
				p.argument()
			}
		case p.lines > 0:
			p.line(b[0])
		default:
			p.step(b[0])
		}
		p.at++
		b = b[1:]
	}
}

// step takes an operation: its argument first, if it has one.
func (p *pickleWalk) step(op byte) {
	p.op, p.arg, p.first = op, p.arg[:0], true
	switch op {
	case 'K', 'h', 'q', 0x82, 0x80, 'U', 'C', 0x8c, 0x8a:
		p.need = 1
	case 'M', 0x83:
		p.need = 2
	case 'J', 'j', 'r', 0x84, 'T', 'B', 'X', 0x8b:
		p.need = 4
	case 'G', 0x95, 0x8d, 0x8e, 0x96:
		p.need = 8
	case 'I', 'L', 'F', 'S', 'V', 'P', 'g', 'p':
		p.lines = 1
	case 'c', 'i':
		p.lines = 2
	default:
		p.stack()
	}
}

// argument has read a number: it is the length of what follows, or all there is.
func (p *pickleWalk) argument() {
	var n uint64
	switch p.op {
	case 'U', 'C', 0x8c, 0x8a:
		n = uint64(p.arg[0])
	case 'T', 'B', 'X', 0x8b:
		n = uint64(binary.LittleEndian.Uint32(p.arg))
	case 0x8d, 0x8e, 0x96:
		n = binary.LittleEndian.Uint64(p.arg)
	case 0x80:
		p.done = p.arg[0] > 5
	}
	// Content that leads past the end is passed over like any other: nothing is
	// behind it.
	p.skip = n
	p.stack()
}

// line reads one byte of an argument in text. What no machine could read there
// ends the walk: otherwise every text that begins with a small letter c would do.
func (p *pickleWalk) line(c byte) {
	if c == '\n' {
		p.first = true
		if p.lines--; p.lines == 0 {
			p.stack()
		}
		return
	}
	digit := '0' <= c && c <= '9'
	letter := 'a' <= c|0x20 && c|0x20 <= 'z'
	ok := true
	switch p.op {
	case 'I', 'L', 'g', 'p':
		ok = digit || c == '-' || c == '+' || c == '_' || c == ' ' || c == '\r' || c == 'L' || 'a' <= c|0x20 && c|0x20 <= 'f' || c|0x20 == 'x' || c|0x20 == 'o'
	case 'F':
		ok = digit || letter || c == '-' || c == '+' || c == '_' || c == '.' || c == ' ' || c == '\r'
	case 'S':
		ok = !p.first || c == '\'' || c == '"'
	case 'c', 'i':
		ok = digit || letter || c == '_' || c == '.' || c >= 0x80
	}
	p.first = false
	p.done = p.done || !ok
}

// stack does to the number of items what the operation does to the items.
func (p *pickleWalk) stack() {
	switch p.op {
	case 'c', 0x93, 'P', 'Q', 0x82, 0x83, 0x84:
		p.named = true
	case 'g', 'h', 'j':
		p.done = p.done || !p.put
	}
	switch p.op {
	case 'K', 'M', 'J', 'G', 'U', 'C', 'T', 'B', 'X', 0x8c, 0x8a, 0x8b, 0x8d, 0x8e, 0x96, 'I', 'L', 'F', 'S', 'V', 'P', 'g', 'c', 'h', 'j',
		0x82, 0x83, 0x84, 'N', '}', ']', ')', 0x8f, 0x88, 0x89, 0x97:
		p.items++
	case 0x80, 0x95: // a protocol, a frame: nothing happens
	case 'q', 'r', 'p', 0x94:
		p.put = true
		p.pop(1, 1)
	case 'Q', 0x85, 0x98:
		p.pop(1, 1)
	case '2':
		p.pop(1, 2)
	case 'a', 0x86:
		p.pop(2, 1)
	case 's', 0x87:
		p.pop(3, 1)
	case 0x93: // a name: looked up, not called
		p.pop(2, 1)
	case 'R', 0x81, 'b':
		p.call(p.pop(2, 1))
	case 0x92:
		p.call(p.pop(3, 1))
	case '(':
		p.marks = append(p.marks, p.items)
		p.items = 0
		if len(p.marks) > mostMarks {
			p.call(true)
		}
	case 't', 'l', 'd', 0x91:
		p.toMark(0, 1)
	case 'e', 'u', 0x90:
		p.toMark(1, 0)
	case '1':
		p.toMark(0, 0)
	case 'i':
		p.call(p.toMark(0, 1))
	case 'o':
		some := p.items > 0
		p.call(p.toMark(0, 1) && some)
	case '0':
		if p.items == 0 {
			p.toMark(0, 0)
		} else {
			p.items--
		}
	case '.':
		p.call(p.pop(1, 1) && (p.named || p.at == p.size-1))
		p.done = true
	default:
		p.done = true
	}
}

// pop takes from and puts back; it reports whether there was enough.
func (p *pickleWalk) pop(from, back uint64) bool {
	if p.items < from {
		p.done = true
		return false
	}
	p.items += back - from
	return true
}

// toMark takes everything above the last mark, wants at least below items under
// it, and puts back.
func (p *pickleWalk) toMark(below, back uint64) bool {
	if len(p.marks) == 0 || p.marks[len(p.marks)-1] < below {
		p.done = true
		return false
	}
	p.items = p.marks[len(p.marks)-1] + back
	p.marks = p.marks[:len(p.marks)-1]
	return true
}

// call is where a machine would have run something, or come to an end.
func (p *pickleWalk) call(ok bool) {
	if ok {
		p.is, p.done = true, true
	}
}
