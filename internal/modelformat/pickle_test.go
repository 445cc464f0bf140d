package modelformat

import (
	"strings"
	"testing"
)

// What Python 3.11 writes for an object whose loading calls os.getcwd.
func pickles() []string {
	return []string{
		"cposix\ngetcwd\np0\n(tRp1\n.",
		"cposix\ngetcwd\nq\x00)Rq\x01.",
		"\x80\x02cposix\ngetcwd\nq\x00)Rq\x01.",
		"\x80\x03cposix\ngetcwd\nq\x00)Rq\x01.",
		"\x80\x04\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06getcwd\x94\x93\x94)R\x94.",
		"\x80\x05\x95\x17\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06getcwd\x94\x93\x94)R\x94.",
	}
}

// MLS-13: pickles of every protocol are seen by what they do.
func TestPickles(t *testing.T) {
	for i, p := range pickles() {
		if got := inspect(t, []byte(p), "f.bin"); got != (Result{Format: "pickle"}) {
			t.Errorf("protocol %d: %+v", i, got)
		}
	}
	for what, p := range map[string]string{
		"data in text":             "(dp0\nVa\np1\n(lp2\nI1\naF2.5\naVx\np3\nas.",
		"data in protocol 1":       "ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00aq\x02K\x01s.",
		"INST":                     "(S'echo'\nios\nsystem\n\x00\x00",
		"OBJ":                      "(cos\nsystem\nS'echo'\no\x00\x00",
		"BUILD":                    "cos\nsystem\n}b\x00\x00",
		"garbage after the call":   "cos\nsystem\n(S'echo'\ntR\x00\x01\x02\x03",
		"no end":                   "cos\nsystem\n(S'echo'\ntR",
		"dust behind":              "cos\nsystem\n(S'echo'\ntR." + strings.Repeat("x", 5000),
		"long text first":          "V" + strings.Repeat("x", 3<<20) + "\n0cos\nsystem\n)R.",
		"long content first":       "B\x00\x00\x30\x00" + strings.Repeat("x", 3<<20) + "0cos\nsystem\n)R.",
		"NEWOBJ":                   "cos\nsystem\n)\x81\x00\x00",
		"NEWOBJ_EX":                "cos\nsystem\n)}\x92\x00\x00",
		"STACK_GLOBAL":             "U\x02osU\x06system\x93)R.",
		"persistent":               "Psomething\n.",
		"pushed aside":             "N0(1(I1\nI2\n1cos\nsystem\n)R.",
		"a hundred thousand marks": strings.Repeat("(", 100_000),
	} {
		if got := inspect(t, []byte(p), "f.bin"); got != (Result{Format: "pickle"}) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// Texts and other files that begin like a program, and are none.
func TestNoPickles(t *testing.T) {
	for _, p := range []string{
		"config\nfoo\nbar\n", "cat: not found\nR", "hi. This is a model.\n", "Version\n.gitignore\n", "N. B.: a note\n",
		"R", ".", "(R", "tR.", "cos\nsystem\nR.", "(ios", "import os\n", "I am a model\n.", "S no quotes\n.", "a.", "e.", "1.", "o.",
		"cos\n system\n)R.", "B\xff\xff\xff\x7fabc", "h\x00.", "\x80\x06N.", "\x8d\xff\xff\xff\xff\xff\xff\xff\xffcos\nsystem\n)R.",
	} {
		if got := inspect(t, []byte(p), "f.bin"); got.Format == "pickle" {
			t.Errorf("%q: %+v", p, got)
		}
	}
}

// MLS-13: a sound safetensors, strict JSON and all, that is a program too. Its
// length begins with N, which pushes something, and G, which takes the other bytes
// of the length, the brace and the quotation mark. The program is a tensor's name:
// q takes the first byte of a character whose second is STACK_GLOBAL.
func TestPickleInSafetensors(t *testing.T) {
	file := func(program string) []byte {
		header := `{"` + program + `":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`
		return raw(header+strings.Repeat(" ", 'N'+'G'<<8-len(header)), 1)
	}
	sound(t, file("layer.0.weight"), Safetensors)
	module, name := strings.Repeat("m", 32), strings.Repeat("n", 32)
	refused(t, "program", file("U "+module+"U "+name+"q\u0093)R."), Safetensors, "is pickle at the same time")
}

func FuzzPickle(f *testing.F) {
	for _, p := range pickles() {
		f.Add([]byte(p), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole := pickleWalk{size: int64(len(b))}
		whole.write(b)
		parts := pickleWalk{size: int64(len(b))}
		cut = max(0, min(cut, len(b)))
		parts.write(b[:cut])
		parts.write(b[cut:])
		if whole.found() != parts.found() {
			t.Fatal("it matters where the bytes are cut")
		}
	})
}
