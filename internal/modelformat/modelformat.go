// Package modelformat looks at the bytes of a model file and says what they are,
// without believing what they claim about their sizes.
//
// A file's name is a label: a pickle, which runs code when it is loaded, may be
// called model.safetensors, and one file may be two things at once, because some
// formats are found by their first bytes and others by their last. So nothing
// here goes by the name. The three formats that hold numbers and nothing else
// (safetensors, GGUF, ONNX) are walked to their end: every length is compared
// with the bytes that are really there before it is used, and no memory is taken
// because a header asks for it. The rest is only named, so that it can be refused.
//
// [Inspect] reads a stream from front to back, once. Who inspects a file whose
// digest matters hashes what it reads in the same pass, and then no two readers
// can have seen different bytes. Memory does not grow with the size of the file.
package modelformat

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// The formats that Inspect walks to their end. A Result has other names too, for
// what it only recognises: "pickle", "pytorch", "keras", "zip", "hdf5", "tar",
// "gzip", "bzip2", "xz", "zstd", "7z", "rar", "numpy", "tflite", "elf", "pe",
// "mach-o", "script", "json" and "text".
const (
	Safetensors = "safetensors"
	GGUF        = "gguf"
	ONNX        = "onnx"
)

// A Result says what a file is. The zero Result is a file that nobody knows.
type Result struct {
	Format  string // in lower case; "" if nothing was recognised
	Problem string // why it is not a sound file of that format; "" if it is, or if the format is only recognised
}

// ErrSize is returned for a reader that gives more or fewer bytes than announced.
var ErrSize = errors.New("the file has another size than before")

// Inspect reads r to its end and says what it is. size is the number of bytes
// that r gives; name is the file's, whose extension may only make the result worse:
// a file called .safetensors, .gguf or .onnx that is something else has a Problem.
//
// The error is r's, or ErrSize. Whatever the bytes are, that is no error.
func Inspect(r io.Reader, size int64, name string) (Result, error) {
	s := &source{r: r, size: size, buf: make([]byte, max(1, min(size, chunkSize)))}
	s.pickle.size, s.zip.size = size, size
	ext := strings.ToLower(path.Ext(name))
	s.fill()
	head := s.chunk
	known := recognise(head)
	s.text.on = s.text.on && known == ""
	s.tar = isTar(head)
	var res Result
	switch {
	case known == GGUF:
		res = s.judged(GGUF, readGGUF)
	case known != "":
		res.Format = known
	case looksLikeSafetensors(head) || ext == ".safetensors" && len(head) > 8 && head[8] == '{':
		res = s.judged(Safetensors, readSafetensors)
	case looksLikePickle(head):
		res.Format = pickleFormat
	case ext == ".onnx":
		res = s.judged(ONNX, readONNX)
	case looksLikeONNX(head):
		// Two bytes are no magic number: other protocol buffers begin so too.
		// Without the extension, only one that is complete is called ONNX.
		if got := s.judged(ONNX, readONNX); got.Problem == "" || s.complete {
			res = got
		}
	}
	for s.fill() {
		s.chunk = nil
	}
	if s.err != nil {
		return Result{}, s.err
	}
	if s.read != size {
		return Result{}, ErrSize
	}
	return s.conclude(res, ext), nil
}

// conclude adds to what was found at the front what was found elsewhere.
func (s *source) conclude(res Result, ext string) Result {
	if res.Format == zipFormat && s.zip.content != "" {
		res.Format = s.zip.content
	}
	others := s.others(res.Format)
	if res.Format == "" && len(others) > 0 {
		res.Format, others = others[0], others[1:]
	}
	if t := s.text.format(); res.Format == "" && t != "" {
		res.Format = t
	}
	want, ok := strings.CutPrefix(ext, ".")
	switch {
	case res.Problem != "":
	case len(others) > 0:
		res.Problem = fmt.Sprintf("is %s at the same time", strings.Join(others, " and "))
	case ok && want != res.Format && slices.Contains([]string{Safetensors, GGUF, ONNX}, want):
		is := "something unknown"
		if res.Format != "" {
			is = res.Format
		}
		res.Problem = fmt.Sprintf("is named .%s and is %s", want, is)
	}
	return res
}

// others returns what the file also is, if format is what it begins as. Of the
// formats that are only recognised, a zip may begin with anything: that is how
// self-extracting programs are made.
func (s *source) others(format string) []string {
	var out []string
	if s.zip.found() && !slices.Contains([]string{zipFormat, pytorchFormat, kerasFormat}, format) {
		out = append(out, cmp.Or(s.zip.content, zipFormat))
	}
	if s.pickle.found() && format != pickleFormat {
		out = append(out, pickleFormat)
	}
	if s.userBlock && format != hdf5Format {
		out = append(out, hdf5Format)
	}
	if s.tar && format != tarFormat {
		out = append(out, tarFormat)
	}
	return out
}
