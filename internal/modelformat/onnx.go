package modelformat

import "slices"

const (
	// mostMessages is how deep messages may nest: a graph inside a graph is three
	// levels. Readers of protocol buffers stop at 100.
	mostMessages = 64

	// mostText is how much of a name is looked at.
	mostText = 1 << 10

	// mostOperators bounds the operators outside the standard, and the functions
	// that may define them, which are remembered until both are known.
	mostOperators = 1 << 12
)

// looksLikeONNX reports whether head begins as writers begin a ModelProto: with
// ir_version, and then one of the fields that follow it.
func looksLikeONNX(head []byte) bool {
	return len(head) >= 3 && head[0] == 0x08 && 0 < head[1] && head[1] < 0x80 &&
		slices.Contains([]byte{0x12, 0x1a, 0x22, 0x28, 0x32, 0x3a, 0x42, 0x72}, head[2])
}

// An operator is a kind of node.
type operator struct{ domain, name string }

// An onnxWalk goes through a model. A model is data as long as its nodes are of
// operators that every runtime has, and its tensors are in it: an operator of
// another domain is code that somebody has to load, and a tensor in another file
// is not what was hashed.
type onnxWalk struct {
	s         *source
	tables    map[message]map[uint64]field
	custom    []operator        // in the order met
	met       map[operator]bool // custom's
	functions map[operator]bool
}

func readONNX(s *source) error {
	w := &onnxWalk{s: s, tables: onnxTables(), met: map[operator]bool{}, functions: map[operator]bool{}}
	if err := w.walk(modelProto, uint64(s.size), 0); err != nil {
		return err
	}
	for _, op := range w.custom {
		if !w.functions[op] {
			return bad("an operator %.100q of the domain %.100q, which is not standard", op.name, op.domain)
		}
	}
	return nil
}

// standard reports whether runtimes bring the operators of a domain with them.
func standard(domain string) bool {
	switch domain {
	case "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft":
		return true
	}
	return false
}

// opaque reports whether an operator, though standard, runs what is no ONNX: a
// compiled program, possibly in another file, or a Python function.
func opaque(op operator) bool {
	return op.domain == "com.microsoft" && slices.Contains([]string{"EPContext", "PythonOp", "PythonOpGrad"}, op.name)
}

// A part is what is known of the message being walked.
type part struct {
	seen     uint64 // a bit for each field that was there
	op       operator
	name     string
	elements uint64 // of a tensor: the product of its dimensions
	large    bool   // that product has no 64 bits
	kind     uint64 // of a tensor: its data type
	raw      uint64 // of a tensor: length of raw_data
	outside  bool   // of a tensor: its data lies in another file
}

func (p *part) has(field uint64) bool { return p.seen&(1<<field) != 0 }

// walk goes through one message, which ends at end.
func (w *onnxWalk) walk(m message, end uint64, depth int) error {
	if depth > mostMessages {
		return bad("messages nest deeper than %d", mostMessages)
	}
	p := part{elements: 1}
	for uint64(w.s.pos) < end {
		tag, err := w.varint(end)
		if err != nil {
			return err
		}
		number, wire := tag>>3, byte(tag&7)
		if number == 0 || number >= 1<<29 {
			return bad("a field with the number %d", number)
		}
		f, known := w.tables[m][number]
		if known {
			if !f.many && p.has(number) {
				return bad("field %d occurs twice in one message: readers may choose either", number)
			}
			p.seen |= 1 << number
			if wire != f.wire && !(f.packed && wire == wireBytes) {
				return bad("field %d has the wire type %d", number, wire)
			}
		}
		if err := w.field(m, number, wire, f, &p, end, depth); err != nil {
			return err
		}
		if m == modelProto {
			w.s.complete = p.has(modelIR) && p.has(modelGraph) && p.has(modelOpset)
		}
	}
	return w.finish(m, &p)
}

// field reads one value.
func (w *onnxWalk) field(m message, number uint64, wire byte, f field, p *part, end uint64, depth int) error {
	switch wire {
	case wireVarint:
		v, err := w.varint(end)
		if err == nil {
			p.number(m, number, v)
		}
		return err
	case wire64, wire32:
		n := uint64(4)
		if wire == wire64 {
			n = 8
		}
		return w.skip(n, end)
	case wireBytes:
	default:
		return bad("field %d has the wire type %d", number, wire)
	}
	n, err := w.varint(end)
	if err != nil {
		return err
	}
	if n > end-uint64(w.s.pos) {
		return errShort
	}
	until := uint64(w.s.pos) + n
	switch {
	case f.in != noMessage:
		return w.walk(f.in, until, depth+1)
	case m == tensorProto && number == tensorDims:
		for uint64(w.s.pos) < until {
			v, err := w.varint(until)
			if err != nil {
				return err
			}
			p.number(m, number, v)
		}
		return nil
	case f.text:
		if n > mostText && m != tensorProto {
			return bad("a name of %d bytes, at most %d are read", n, mostText)
		}
		b, err := w.s.take(int(min(n, mostText)))
		if err != nil {
			return err
		}
		p.text(m, number, string(b))
		return w.s.skip(until - uint64(w.s.pos))
	}
	if m == tensorProto && number == tensorRaw {
		p.raw = n
	}
	return w.s.skip(n)
}

// number takes a number that decides something.
func (p *part) number(m message, field, v uint64) {
	if m != tensorProto {
		return
	}
	switch field {
	case tensorDims:
		var ok bool
		p.elements, ok = product(p.elements, []uint64{v}) // a negative one is huge
		p.large = p.large || !ok
	case tensorType:
		p.kind = v
	case tensorLocation:
		p.outside = p.outside || v != 0
	}
}

// text takes a name that decides something.
func (p *part) text(m message, field uint64, v string) {
	switch {
	case m == nodeProto && field == nodeDomain, m == functionProto && field == functionDomain:
		p.op.domain = v
	case m == nodeProto && field == nodeOp, m == functionProto && field == functionName:
		p.op.name = v
	default:
		p.name = v
	}
}

// finish judges a message whose fields are all known.
func (w *onnxWalk) finish(m message, p *part) error {
	switch m {
	case modelProto:
		if !w.s.complete {
			return bad("is no ONNX model: ir_version, graph or opset_import is missing")
		}
	case nodeProto:
		if opaque(p.op) {
			return bad("an operator %q, which runs what is not in the model", p.op.name)
		}
		if !standard(p.op.domain) && !w.met[p.op] {
			w.met[p.op] = true
			w.custom = append(w.custom, p.op)
		}
	case functionProto:
		w.functions[p.op] = true
	case tensorProto:
		return p.tensor()
	}
	if len(w.custom) > mostOperators || len(w.functions) > mostOperators {
		return bad("more than %d operators that are not standard", mostOperators)
	}
	return nil
}

// tensor checks that a tensor's data is here, and as long as its shape says.
func (p *part) tensor() error {
	switch {
	case p.outside || p.has(tensorExternal):
		return bad("the data of tensor %.100q lies in another file", p.name)
	case !p.has(tensorRaw):
		return nil // in typed fields, whose lengths are those of the messages
	}
	bits := onnxBits(p.kind)
	total, ok := product(bits, []uint64{p.elements})
	if bits == 0 || p.large || !ok || total/8+min(total%8, 1) != p.raw {
		return bad("tensor %.100q: type %d and shape do not need the %d bytes that are there", p.name, p.kind, p.raw)
	}
	return nil
}

// varint reads a number of at most ten bytes that ends before end.
func (w *onnxWalk) varint(end uint64) (uint64, error) {
	var v uint64
	for shift := 0; shift < 70; shift += 7 {
		if uint64(w.s.pos) >= end {
			return 0, errShort
		}
		b, err := w.s.take(1)
		if err != nil {
			return 0, err
		}
		if shift == 63 && b[0] > 1 {
			break
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return v, nil
		}
	}
	return 0, bad("a number with more than 64 bits")
}

func (w *onnxWalk) skip(n, end uint64) error {
	if n > end-uint64(w.s.pos) {
		return errShort
	}
	return w.s.skip(n)
}
