package modelformat

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func inspect(t testing.TB, b []byte, name string) Result {
	t.Helper()
	got, err := Inspect(bytes.NewReader(b), int64(len(b)), name)
	must(t, err)
	return got
}

// sound wants b to be a sound file of a format, whatever it is called.
func sound(t testing.TB, b []byte, format string) {
	t.Helper()
	for _, name := range []string{"model." + format, "model.bin"} {
		if got := inspect(t, b, name); got != (Result{Format: format}) {
			t.Fatalf("%s: %+v, want a sound %s: the rest of this test would prove nothing", name, got, format)
		}
	}
}

// refused wants b to be of a format, and to have a problem that says why.
func refused(t testing.TB, what string, b []byte, format, why string) {
	t.Helper()
	got := inspect(t, b, "model."+format)
	if got.Format != format || got.Problem == "" || !strings.Contains(got.Problem, why) {
		t.Errorf("%s: %+v, want a %s with the problem %q", what, got, format, why)
	}
}

// zipped makes an archive of files with some content.
func zipped(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range names {
		f, err := w.Create(n)
		must(t, err)
		_, err = f.Write([]byte("content of " + n))
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

func tarred(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}))
	_, err := w.Write(content)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

func TestRecognised(t *testing.T) {
	var gz bytes.Buffer
	must(t, gzip.NewWriter(&gz).Close())
	pe := append(append([]byte("MZ"), make([]byte, 0x3a)...), 0x40, 0, 0, 0)
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"empty":                  {nil, ""},
		"noise":                  {[]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, ""},
		"text":                   {[]byte("# A model\n\nIt is good.\n"), "text"},
		"text, not JSON":         {[]byte("config.\n"), "text"},
		"many bytes":             {[]byte(strings.Repeat("größer\n", 400_000)), "text"},
		"cut character":          {[]byte("gr\xc3"), ""},
		"json":                   {[]byte(" {\"a\": [1]}\n"), "json"},
		"array":                  {[]byte("[1]"), "json"},
		"script":                 {[]byte("#!/bin/sh\n"), "script"},
		"elf":                    {[]byte("\x7fELF\x02\x01\x01"), "elf"},
		"pe":                     {append(pe, "PE\x00\x00"...), "pe"},
		"MZ alone":               {[]byte("MZ is a text"), "text"},
		"gzip":                   {gz.Bytes(), "gzip"},
		"7z":                     {[]byte("7z\xbc\xaf\x27\x1c\x00"), "7z"},
		"tar":                    {tarred(t, "a", []byte("x")), "tar"},
		"tar with pickle inside": {tarred(t, "data.pkl", []byte("x")), "tar"},
		"zip":                    {zipped(t, "a.txt"), "zip"},
		"empty zip":              {zipped(t), "zip"},
		"nested zip":             {zipped(t, "model.zip"), "zip"},
		"PyTorch":                {zipped(t, "archive/data.pkl", "archive/version"), "pytorch"},
		"Keras 3":                {zipped(t, "metadata.json", "model.weights.h5"), "keras"},
		"hdf5":                   {[]byte("\x89HDF\r\n\x1a\n\x00"), "hdf5"},
		"hdf5 behind":            {append(make([]byte, 2048), "\x89HDF\r\n\x1a\n\x00"...), "hdf5"},
		"numpy":                  {[]byte("\x93NUMPY\x01\x00"), "numpy"},
		"tflite":                 {[]byte("\x1c\x00\x00\x00TFL3\x00\x00"), "tflite"},
		"zip behind":             {append([]byte("some text\n"), zipped(t, "__main__.py")...), "zip"},
		"protobuf":               {[]byte("\x08\x01\x12\x04abcd"), ""},
		"gguf too short":         {[]byte("GGU"), "text"},
	} {
		if got := inspect(t, c.b, "f.bin"); got.Format != c.want || got.Problem != "" {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

// MLS-13: the name says one format, the bytes are another.
func TestNameLies(t *testing.T) {
	honest := tensorsFile(t)
	sound(t, honest, Safetensors)
	for _, c := range []struct{ name, format string }{
		{"model.gguf", Safetensors}, {"model.ONNX", Safetensors}, {"dir.onnx/model.Gguf", Safetensors},
	} {
		if got := inspect(t, honest, c.name); got.Format != c.format || !strings.Contains(got.Problem, "is named") {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for want, b := range map[string][]byte{
		"pickle":  []byte("\x80\x04\x95\x11\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06getcwd\x94\x93\x94)R\x94."),
		"pytorch": zipped(t, "archive/data.pkl"),
		"hdf5":    []byte("\x89HDF\r\n\x1a\n\x00"),
		"tar":     tarred(t, "model.safetensors", honest),
		"text":    []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"),
		"":        {0, 1, 2, 3},
	} {
		for _, name := range []string{"model.safetensors", "model.SAFETENSORS"} {
			if got := inspect(t, b, name); got.Format != want || !strings.Contains(got.Problem, "is named .safetensors and is") {
				t.Errorf("%s named %s: %+v", want, name, got)
			}
		}
	}
}

// MLS-13: one file that is two things, of which a scanner looks at one.
func TestPolyglots(t *testing.T) {
	archive := zipped(t, "__main__.py")
	shifted := bytes.Clone(archive)
	long := append(bytes.Clone(archive), "and no comment announces this"...)
	disks := bytes.Clone(archive)
	disks[len(disks)-18] = 7 // a number of disks that Python's reader does not look at
	for what, tail := range map[string][]byte{
		"zip": shifted, "zip with something behind it": long, "zip on seven disks": disks, "large zip": zipped(t, names(400)...),
	} {
		refused(t, what, tensorsFile(t, tail...), Safetensors, "is zip at the same time")
		refused(t, what, ggufFile(t, tail...), GGUF, "is zip at the same time")
		refused(t, what, onnxFile(t, tail), ONNX, "is zip at the same time")
	}
	refused(t, "PyTorch", tensorsFile(t, zipped(t, "a/data.pkl")...), Safetensors, "is pytorch at the same time")
	sound(t, tensorsFile(t, []byte("PK\x05\x06 by chance, and nothing like a directory before it")...), Safetensors)

	record := append([]byte("no directory is here"), "PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	sound(t, tensorsFile(t, record...), Safetensors)

	h5 := append(make([]byte, 4096), "\x89HDF\r\n\x1a\n"...)
	refused(t, "hdf5", tensorsAt(t, 4096, "\x89HDF\r\n\x1a\n"), Safetensors, "is hdf5 at the same time")
	sound(t, tensorsAt(t, 4097, "\x89HDF\r\n\x1a\n"), Safetensors)
	if got := inspect(t, h5, "x"); got.Format != "hdf5" {
		t.Errorf("%+v", got)
	}
}

// A tar is found by a checksum over its first 512 bytes, which may say anything.
func TestTarInSafetensors(t *testing.T) {
	b := raw(`{"__metadata__":{"x":"`+strings.Repeat("7", 600)+`"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)
	sound(t, b, Safetensors)
	sum := 8 * int(' ')
	for i, c := range b[:512] {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(b[148:], fmt.Sprintf("%08o", sum))
	refused(t, "tar", b, Safetensors, "is tar at the same time")
}

func names(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%0200d.py", i))
	}
	return out
}

// A directory that is larger than what is kept of the end is believed if the
// record makes sense.
func TestLargeDirectory(t *testing.T) {
	b := zipped(t, names(6000)...)
	refused(t, "zip with a large directory", tensorsFile(t, b...), Safetensors, "is zip at the same time")
	if got := inspect(t, append([]byte{0, 1}, b...), "x"); got.Format != "zip" {
		t.Errorf("%+v", got)
	}
}

func TestReaders(t *testing.T) {
	b := tensorsFile(t)
	for what, r := range map[string]io.Reader{
		"one byte at a time": iotest.OneByteReader(bytes.NewReader(b)),
		"data with EOF":      iotest.DataErrReader(bytes.NewReader(b)),
	} {
		if got, err := Inspect(r, int64(len(b)), "a.safetensors"); err != nil || got != (Result{Format: Safetensors}) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for _, size := range []int64{0, 1, int64(len(b)) - 1, int64(len(b)) + 1, 1 << 40} {
		if got, err := Inspect(bytes.NewReader(b), size, "a.safetensors"); !errors.Is(err, ErrSize) || got != (Result{}) {
			t.Errorf("size %d: %+v, %v", size, got, err)
		}
	}
	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(b[:20]), iotest.ErrReader(broken))
	if got, err := Inspect(r, int64(len(b)), "a.safetensors"); !errors.Is(err, broken) || got != (Result{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// counted gives bytes without holding them.
type counted struct {
	head []byte
	left int64
	n    int64
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.left))
	clear(p[:n])
	if c.n < int64(len(c.head)) {
		copy(p[:n], c.head[c.n:])
	}
	c.n += int64(n)
	c.left -= int64(n)
	return n, nil
}

// MLS-14: memory does not grow with the file, nor with what its header claims.
// Every byte reaches the reader, or the digest would be of something else.
func TestMemory(t *testing.T) {
	const size = 1 << 30
	for what, head := range map[string][]byte{
		"safetensors":           []byte("\x5e\x00\x00\x00\x00\x00\x00\x00" + fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, size-94-8, size-94-8) + strings.Repeat(" ", 60)),
		"safetensors of 100 MB": []byte("\x00\xe1\xf5\x05\x00\x00\x00\x00{"),
		"safetensors of 2^63":   []byte("\x00\x00\x00\x00\x00\x00\x00\x80{"),
		"gguf of 2^64 pairs":    []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
		"gguf of 10^7 tensors":  []byte("GGUF\x03\x00\x00\x00\x80\x96\x98\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		"onnx":                  []byte("\x08\x08\x3a\xf0\xff\xff\xff\x03\x2a\xe0\xff\xff\xff\x03\x4a\xd0\xff\xff\xff\x03"),
		"pickle":                []byte("\x80\x04\x8e\x00\x00\x00\x20\x00\x00\x00\x00"),
		"nothing":               nil,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := &counted{head: head, left: size}
		_, err := Inspect(r, size, "model.safetensors")
		runtime.ReadMemStats(&after)
		if err != nil || r.n != size {
			t.Errorf("%s: %v, %d bytes were read", what, err, r.n)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
			t.Errorf("%s: %d bytes were allocated", what, got)
		}
	}
}

// Honest weights are not called something else by chance.
func TestChance(t *testing.T) {
	rnd := rand.NewChaCha8([32]byte{1})
	for range 2000 {
		b := make([]byte, 4096)
		rnd.Read(b)
		if got := inspect(t, b, "f.bin"); got != (Result{}) && got.Format != "" {
			t.Errorf("noise that begins with % x is %+v", b[:16], got)
		}
		sound(t, tensorsFile(t, b...), Safetensors)
	}
}
