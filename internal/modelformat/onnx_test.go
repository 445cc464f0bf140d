package modelformat

import (
	"encoding/binary"
	"strings"
	"testing"
)

// A proto is a message that is being written.
type proto []byte

func (p proto) number(field, v uint64) proto {
	return binary.AppendUvarint(binary.AppendUvarint(p, field<<3), v)
}

func (p proto) bytes(field uint64, b []byte) proto {
	return append(binary.AppendUvarint(binary.AppendUvarint(p, field<<3|2), uint64(len(b))), b...)
}

func (p proto) text(field uint64, s string) proto { return p.bytes(field, []byte(s)) }

func node(domain, op string) proto {
	p := proto{}.text(1, "x").text(2, "y").text(4, op)
	if domain != "" {
		p = p.text(7, domain)
	}
	return p
}

// weights is a tensor of bytes.
func weights(name string, b []byte) proto {
	return proto{}.number(1, uint64(len(b))).number(2, 2).text(8, name).bytes(9, b)
}

func graph(nodes ...proto) proto {
	p := proto{}
	for _, n := range nodes {
		p = p.bytes(1, n)
	}
	return p.text(2, "g")
}

func model(g proto) proto {
	return proto{}.number(1, 8).text(2, "test").bytes(7, g).bytes(8, proto{}.text(1, "").number(2, 17))
}

// onnxFile makes a sound file whose last bytes are those of a tensor.
func onnxFile(t testing.TB, last []byte) []byte {
	t.Helper()
	g := graph(node("", "MatMul"), node("ai.onnx.ml", "Scaler")).bytes(5, weights("w", last))
	return proto{}.number(1, 8).bytes(8, proto{}.number(2, 17)).bytes(7, g)
}

func TestONNX(t *testing.T) {
	sound(t, onnxFile(t, []byte{1, 2, 3}), ONNX)
	inner := graph(node("", "Add")).bytes(5, weights("inner", []byte{1}))
	for what, b := range map[string][]byte{
		"as writers order it":     model(graph(node("", "Relu"))),
		"many weights":            onnxFile(t, make([]byte, 3<<20)),
		"microsoft":               model(graph(node("com.microsoft", "QAttention"))),
		"a graph in a node":       model(graph(append(node("", "If"), proto{}.bytes(5, proto{}.text(1, "then_branch").bytes(6, inner))...))),
		"a function of its own":   model(graph(node("pkg.torch", "aten_add"))).bytes(25, proto{}.text(1, "aten_add").bytes(7, node("", "Add")).text(10, "pkg.torch")),
		"fields of later times":   model(graph()).number(100, 1).text(101, "x"),
		"data in numbers":         model(graph().bytes(5, proto{}.bytes(1, []byte{2}).number(2, 1).bytes(4, make([]byte, 8)))),
		"four bits each":          model(graph().bytes(5, proto{}.number(1, 3).number(2, 22).bytes(9, []byte{1, 2}))),
		"long name":               model(graph().bytes(5, proto{}.number(1, 1).number(2, 3).text(8, strings.Repeat("n", 5000)).bytes(9, []byte{1}))),
		"data location spelt out": model(graph().bytes(5, proto{}.number(1, 1).number(2, 3).number(14, 0).bytes(9, []byte{1}))),
	} {
		if got := inspect(t, b, "m.onnx"); got != (Result{Format: ONNX}) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

// MLS-12, MLS-13, MLS-14: code and data that are not in the model, and lengths
// that lie.
func TestONNXRefuses(t *testing.T) {
	sound(t, onnxFile(t, []byte{1}), ONNX)
	tensor := func(p proto) []byte { return model(graph().bytes(5, p)) }
	outside := proto{}.number(1, 1).number(2, 1).text(8, "big").bytes(13, proto{}.text(1, "location").text(2, "../../etc/passwd")).number(14, 1)
	deep := graph()
	for range 40 {
		deep = graph(append(node("", "If"), proto{}.bytes(5, proto{}.bytes(6, deep))...))
	}
	custom := node("evil.ops", "Run")
	for what, c := range map[string]struct {
		b   []byte
		why string
	}{
		"custom operator":             {model(graph(custom)), `"evil.ops"`},
		"custom in a branch":          {model(graph(append(node("", "If"), proto{}.bytes(5, proto{}.bytes(6, graph(custom)))...))), `"evil.ops"`},
		"custom in several branches":  {model(graph(append(node("", "If"), proto{}.bytes(5, proto{}.bytes(11, graph(custom)))...))), `"evil.ops"`},
		"custom in training":          {model(graph()).bytes(20, proto{}.bytes(2, graph(custom))), `"evil.ops"`},
		"custom in a function":        {model(graph()).bytes(25, proto{}.text(1, "f").text(10, "x").bytes(7, custom)), `"evil.ops"`},
		"custom in a default":         {model(graph()).bytes(25, proto{}.text(1, "f").text(10, "x").bytes(11, proto{}.bytes(6, graph(custom)))), `"evil.ops"`},
		"another function":            {model(graph(custom)).bytes(25, proto{}.text(1, "Walk").text(10, "evil.ops")), `"Run"`},
		"compiled program":            {model(graph(node("com.microsoft", "EPContext"))), "EPContext"},
		"data outside":                {tensor(outside), `"big" lies in another file`},
		"outside by location":         {tensor(proto{}.number(1, 1).number(2, 1).number(14, 1)), "lies in another file"},
		"outside by entry":            {tensor(proto{}.number(1, 1).number(2, 1).text(13, "")), "lies in another file"},
		"outside in an attribute":     {model(graph(append(node("", "Constant"), proto{}.bytes(5, proto{}.bytes(5, outside))...))), "lies in another file"},
		"outside in a list":           {model(graph(append(node("", "Constant"), proto{}.bytes(5, proto{}.bytes(10, outside))...))), "lies in another file"},
		"outside in a sparse one":     {model(graph().bytes(15, proto{}.bytes(2, outside))), "lies in another file"},
		"outside in a sparse value":   {model(graph(append(node("", "Constant"), proto{}.bytes(5, proto{}.bytes(22, proto{}.bytes(1, outside)))...))), "lies in another file"},
		"too few bytes":               {tensor(proto{}.number(1, 2).number(2, 1).bytes(9, make([]byte, 7))), "do not need the 7 bytes"},
		"too many bytes":              {tensor(proto{}.number(1, 2).number(2, 1).bytes(9, make([]byte, 9))), "do not need the 9 bytes"},
		"negative dimension":          {tensor(proto{}.number(1, 1<<64-1).number(2, 1).bytes(9, nil)), "do not need"},
		"dimensions that wrap":        {tensor(proto{}.number(1, 1<<63).number(1, 2).number(2, 3).bytes(9, nil)), "do not need"},
		"packed dimensions that wrap": {tensor(proto{}.bytes(1, append(binary.AppendUvarint(nil, 1<<63), 2)).number(2, 3).bytes(9, nil)), "do not need"},
		"unknown type":                {tensor(proto{}.number(1, 2).number(2, 99).bytes(9, make([]byte, 8))), "type 99"},
		"texts as bytes":              {tensor(proto{}.number(1, 2).number(2, 8).bytes(9, make([]byte, 8))), "type 8"},
		"two graphs":                  {append(model(graph()), proto{}.bytes(7, graph())...), "twice"},
		"two domains":                 {model(graph(node("", "Add").text(7, "").text(7, "evil"))), "twice"},
		"two sets of bytes":           {tensor(weights("w", []byte{1}).bytes(9, []byte{1})), "twice"},
		"deep":                        {model(deep), "nest deeper"},
		"field 0":                     {append(model(graph()), 0x02, 0x00), "number 0"},
		"a group":                     {append(model(graph()), 0x53, 0x54), "wire type 3"},
		"wire type 7":                 {append(model(graph()), 0x57), "wire type 7"},
		"graph as a number":           {proto{}.number(1, 8).number(7, 1), "wire type 0"},
		"length past the end":         {append(model(graph()), 0x72, 0xff, 0xff, 0x7f), "leads past its end"},
		"length of 2^64":              {append(model(graph()), 0x72, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "leads past its end"},
		"eleven bytes of a number":    {append(model(graph()), 0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), "64 bits"},
		"inner longer than outer":     {append(proto{}.number(1, 8).bytes(7, []byte{0x0a, 0x20}), make([]byte, 64)...), "leads past its end"},
		"no graph":                    {proto{}.number(1, 8).bytes(8, proto{}.number(2, 17)), "missing"},
		"no operators' version":       {proto{}.number(1, 8).bytes(7, graph()), "missing"},
		"operator of 2 KiB":           {model(graph(node("", strings.Repeat("x", 2048)))), "a name of"},
	} {
		refused(t, what, c.b, ONNX, c.why)
	}
}

func TestONNXCut(t *testing.T) {
	b := onnxFile(t, []byte{1, 2, 3})
	for n := 1; n < len(b); n++ {
		if got := inspect(t, b[:n], "a.onnx"); got.Problem == "" {
			t.Errorf("cut to %d of %d bytes: %+v", n, len(b), got)
		}
	}
}

func FuzzONNX(f *testing.F) {
	f.Add([]byte(onnxFile(f, []byte{1, 2})))
	f.Add([]byte(model(graph(node("x", "y"))).bytes(25, proto{}.text(1, "y").text(10, "x"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := inspect(t, b, "a.onnx")
		if got.Format != ONNX || got.Problem != "" {
			return
		}
		// Whatever is sound stays so behind a field that readers pass over, and
		// never with one that claims a byte more than there is.
		if again := inspect(t, proto(b).text(1000, "x"), "a.onnx"); again.Problem != "" && !strings.Contains(again.Problem, "same time") {
			t.Fatalf("%+v", again)
		}
		if cut := inspect(t, append(proto(b).text(1000, "x"), 0xc2, 0x3e, 1), "a.onnx"); cut.Problem == "" {
			t.Fatal("sound, and it ends in the middle of a field")
		}
	})
}
