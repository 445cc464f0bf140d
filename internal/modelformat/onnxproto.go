package modelformat

// The wire types of protocol buffers. Groups (3 and 4) are gone from ONNX's
// version of them and are refused.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

// A message is a kind of message of onnx.proto that is walked. The others are
// passed over: descriptions of types and texts, in which neither code nor a place
// outside can hide.
type message uint8

const (
	noMessage message = iota
	modelProto
	graphProto
	nodeProto
	attributeProto
	tensorProto
	sparseTensorProto
	functionProto
	trainingProto
)

// The fields that decide something, by their numbers in onnx.proto.
const (
	modelIR, modelGraph, modelOpset           = 1, 7, 8
	nodeOp, nodeDomain                        = 4, 7
	functionName, functionDomain              = 1, 10
	tensorDims, tensorType, tensorName        = 1, 2, 8
	tensorRaw, tensorExternal, tensorLocation = 9, 13, 14
)

// A field is what onnx.proto says of one.
type field struct {
	wire   byte
	many   bool
	packed bool    // many numbers may be in one piece
	text   bool    // a name that is looked at
	in     message // what is in it, if that is walked
}

// onnxTables returns the fields of each message that is walked. A field that is
// not here is passed over, as every reader does: later versions add some.
func onnxTables() map[message]map[uint64]field {
	number, bytes := field{wire: wireVarint}, field{wire: wireBytes}
	name := field{wire: wireBytes, text: true}
	several := field{wire: wireBytes, many: true}
	one := func(m message) field { return field{wire: wireBytes, in: m} }
	each := func(m message) field { return field{wire: wireBytes, in: m, many: true} }
	packed := func(wire byte) field { return field{wire: wire, many: true, packed: true} }
	return map[message]map[uint64]field{
		modelProto: {modelIR: number, 2: bytes, 3: bytes, 4: bytes, 5: number, 6: bytes, modelGraph: one(graphProto), modelOpset: several,
			14: several, 20: each(trainingProto), 25: each(functionProto), 26: several},
		graphProto: {1: each(nodeProto), 2: bytes, 5: each(tensorProto), 10: bytes, 11: several, 12: several, 13: several, 14: several,
			15: each(sparseTensorProto), 16: several},
		nodeProto: {1: several, 2: several, 3: bytes, nodeOp: name, 5: each(attributeProto), 6: bytes, nodeDomain: name, 8: bytes, 9: several, 10: several},
		attributeProto: {1: bytes, 2: {wire: wire32}, 3: number, 4: bytes, 5: one(tensorProto), 6: one(graphProto), 7: packed(wire32), 8: packed(wireVarint),
			9: several, 10: each(tensorProto), 11: each(graphProto), 13: bytes, 14: bytes, 15: several, 20: number, 21: bytes,
			22: one(sparseTensorProto), 23: each(sparseTensorProto)},
		tensorProto: {tensorDims: packed(wireVarint), tensorType: number, 3: bytes, 4: packed(wire32), 5: packed(wireVarint), 6: several, 7: packed(wireVarint),
			tensorName: name, tensorRaw: bytes, 10: packed(wire64), 11: packed(wireVarint), 12: bytes, tensorExternal: several, tensorLocation: number, 16: several},
		sparseTensorProto: {1: one(tensorProto), 2: one(tensorProto), 3: packed(wireVarint)},
		functionProto: {functionName: name, 4: several, 5: several, 6: several, 7: each(nodeProto), 8: bytes, 9: several, functionDomain: name,
			11: each(attributeProto), 12: several, 13: bytes, 14: several},
		trainingProto: {1: one(graphProto), 2: one(graphProto), 3: several, 4: several},
	}
}

// onnxBits returns the size of an element in raw_data in bits, 0 for a type that
// has none there (strings) or that this table lacks.
func onnxBits(kind uint64) uint64 {
	bits := [...]uint64{1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
		17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2}
	if kind >= uint64(len(bits)) {
		return 0
	}
	return bits[kind]
}
