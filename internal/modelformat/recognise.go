package modelformat

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// The names of what is recognised and compared with.
const (
	pickleFormat  = "pickle"
	pytorchFormat = "pytorch"
	kerasFormat   = "keras"
	zipFormat     = "zip"
	hdf5Format    = "hdf5"
	tarFormat     = "tar"
)

// magics returns how files begin whose first bytes are made to tell.
func magics() [][2]string {
	return [][2]string{
		{"GGUF", GGUF},
		{"\x89HDF\r\n\x1a\n", hdf5Format},
		{"PK\x03\x04", zipFormat}, {"PK\x05\x06", zipFormat}, {"PK\x07\x08", zipFormat},
		{"\x1f\x8b\x08", "gzip"}, {"BZh", "bzip2"}, {"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"},
		{"7z\xbc\xaf\x27\x1c", "7z"}, {"Rar!\x1a\x07", "rar"},
		{"\x93NUMPY", "numpy"},
		{"\x7fELF", "elf"},
		{"\xfe\xed\xfa\xce", "mach-o"}, {"\xfe\xed\xfa\xcf", "mach-o"}, {"\xce\xfa\xed\xfe", "mach-o"}, {"\xcf\xfa\xed\xfe", "mach-o"}, {"\xca\xfe\xba\xbe", "mach-o"},
		{"#!", "script"},
	}
}

// recognise names what head begins as, and "" if its first bytes do not tell.
func recognise(head []byte) string {
	for _, m := range magics() {
		if bytes.HasPrefix(head, []byte(m[0])) {
			return m[1]
		}
	}
	switch {
	case len(head) >= 8 && string(head[4:8]) == "TFL3":
		return "tflite"
	case isPE(head):
		return "pe"
	case isTar(head) && !looksLikeSafetensors(head):
		return tarFormat
	}
	return ""
}

// isPE wants the second header too: "MZ" alone may begin any text.
func isPE(head []byte) bool {
	if len(head) < 0x40 || string(head[:2]) != "MZ" {
		return false
	}
	at := uint64(binary.LittleEndian.Uint32(head[0x3c:]))
	return at+4 <= uint64(len(head)) && string(head[at:at+4]) == "PE\x00\x00"
}

// isTar checks the checksum of the first header, which is all that readers of
// old archives go by.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	want, digits := 0, 0
	for _, c := range bytes.Trim(head[148:156], " \x00") {
		if c < '0' || c > '7' {
			return false
		}
		want = want*8 + int(c-'0')
		digits++
	}
	sum, signed := 8*int(' '), 8*int(' ')
	for i, c := range head[:512] {
		if i < 148 || i >= 156 {
			sum += int(c)
			signed += int(int8(c))
		}
	}
	return digits > 0 && (want == sum || want == signed)
}

// hdf5At reports whether b, which lies at offset at, has an HDF5 signature where
// readers look for one: at 512 times a power of two. What lies before it, the
// user block, may be anything.
func hdf5At(b []byte, at int64) bool {
	for off := int64(512); off > 0 && off < at+int64(len(b)); off *= 2 {
		if off >= at && bytes.HasPrefix(b[off-at:], []byte("\x89HDF\r\n\x1a\n")) {
			return true
		}
	}
	return false
}

// A textScan finds out whether a whole file is UTF-8 text.
type textScan struct {
	on          bool // nothing but text was seen
	any         bool
	first, last byte   // that are not white space
	held        []byte // the bytes of a character that the next chunk ends
}

func (t *textScan) write(b []byte) {
	if !t.any && len(b) > 0 {
		t.any, t.on = true, true // the first chunk comes before anybody knows whether it matters
	}
	if !t.on || len(b) == 0 {
		return
	}
	if len(t.held) > 0 {
		b = append(t.held, b...)
		t.held = nil
	}
	cut := len(b)
	for i := 1; i <= min(3, len(b)); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				cut = len(b) - i
			}
			break
		}
	}
	t.held = bytes.Clone(b[cut:])
	b = b[:cut]
	if t.on = utf8.Valid(b); !t.on {
		return
	}
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' || c == 0x7f {
			t.on = false
			return
		}
	}
	if trimmed := bytes.Trim(b, " \t\n\r"); len(trimmed) > 0 {
		if t.first == 0 {
			t.first = trimmed[0]
		}
		t.last = trimmed[len(trimmed)-1]
	}
}

// format returns "json" for text between two brackets that match, "text" for
// other text, and "" for what is none. An empty file is nothing.
func (t *textScan) format() string {
	switch {
	case !t.on || !t.any || len(t.held) > 0:
		return ""
	case t.first == '{' && t.last == '}' || t.first == '[' && t.last == ']':
		return "json"
	}
	return "text"
}
