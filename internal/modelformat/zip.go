package modelformat

import (
	"bytes"
	"encoding/binary"
)

const (
	// endRecord is the size of the record that ends a zip, without its comment,
	// which has at most 65,535 bytes. Readers look for it from the end backwards.
	endRecord = 22
	endSearch = endRecord + 0xffff

	// tailSize is how much of the end is kept: the record, and before it a
	// directory of some 10,000 entries to look into.
	tailSize = 1 << 20
)

// A zipTail keeps the end of a file and looks there for a zip's directory: that
// is where readers of zips begin, whatever the file's first bytes are.
type zipTail struct {
	size    int64
	tail    []byte
	ready   bool
	is      bool
	content string // what the archive's names say that it is; "" for any other
}

func (z *zipTail) write(b []byte, at int64) {
	if from := z.size - tailSize; at+int64(len(b)) > from {
		z.tail = append(z.tail, b[max(0, from-at):]...)
	}
	if at+int64(len(b)) >= z.size && !z.ready {
		z.ready = true
		z.look()
	}
}

func (z *zipTail) found() bool { return z.is }

func (z *zipTail) look() {
	t := z.tail
	for i := len(t) - endRecord; i >= 0 && i >= len(t)-endSearch; i-- {
		if t[i] != 'P' || string(t[i:i+4]) != "PK\x05\x06" {
			continue
		}
		if dir, ok := z.directory(i); ok {
			z.is = true
			z.content = content(dir)
			return
		}
	}
}

// directory returns the directory that the end record at i of the tail names, or
// what of it the tail holds, and whether there is one.
//
// Four bytes may occur in honest weights by chance, so the record must make
// sense. Where the directory is kept its signature decides, as it does for the
// readers, some of which look at nothing else. A directory larger than the tail
// is believed if the record's counts agree. Whether the comment ends where the
// file ends is not asked: Python's reader does not ask either.
func (z *zipTail) directory(i int) ([]byte, bool) {
	r := z.tail[i:]
	le := binary.LittleEndian
	disk, dirDisk := le.Uint16(r[4:]), le.Uint16(r[6:])
	here, entries := le.Uint16(r[8:]), le.Uint16(r[10:])
	size, end := uint64(le.Uint32(r[12:])), i
	if i >= 20 && string(z.tail[i-20:i-16]) == "PK\x06\x07" {
		// The locator of zip64's longer record: eight bytes that nobody hits by
		// chance, so whether the record lies right before it is only asked to
		// find the directory.
		end = max(0, i-20-56)
		if string(z.tail[end:end+4]) == "PK\x06\x06" {
			size = le.Uint64(z.tail[end+40:])
		}
		return z.tail[uint64(end)-min(size, uint64(end)) : end], true
	}
	switch {
	case size == 0:
		return nil, entries == 0 && here == 0 && disk == 0 && dirDisk == 0 && i+endRecord+int(le.Uint16(r[20:])) == len(z.tail)
	case size <= uint64(end):
		dir := z.tail[uint64(end)-size : end]
		return dir, bytes.HasPrefix(dir, []byte("PK\x01\x02"))
	}
	position := uint64(z.size) - uint64(len(z.tail)) + uint64(end)
	return z.tail[:end], size <= position && here == entries && disk == dirDisk && (disk <= 1 || disk == 0xffff) && uint64(entries)*46 <= size
}

// content looks for the names that tell one user of zips from another.
func content(dir []byte) string {
	switch {
	case bytes.Contains(dir, []byte("data.pkl")), bytes.Contains(dir, []byte("constants.pkl")):
		return pytorchFormat
	case bytes.Contains(dir, []byte("model.weights.h5")):
		return kerasFormat
	}
	return ""
}
