// Package llm is a small language model and what one does with the large ones:
// take a base model that somebody else published, fine-tune it with a low-rank
// adapter, merge the two, quantise the result in two widths, and measure them.
//
//	ingest    check a text and copy it, byte for byte
//	base      train a base model (the publisher's part)
//	oms       sign the base model's files, as OpenSSF Model Signing does
//	prepare   divide a text into a training and a test set, by paragraphs
//	finetune  train a LoRA adapter on a base model
//	merge     add an adapter to a base model's weights
//	quantize  store weights as integers of 8 or 4 bits
//	evaluate  measure how well a model predicts a text, as JSON
//	scan      look at the bytes of a model's files, as JSON
//
// The model predicts a character from the eight before it: an embedding, a hidden
// layer and a softmax over 96 characters, 13,600 weights. That is a neural
// language model as Bengio et al. described it in 2003, and small enough to train
// in seconds on one core. Everything around it has the shape that it has for the
// large ones: config.json, tokenizer.json and safetensors, an adapter with its
// adapter_config.json, and weights of eight and four bits with their scales.
//
// The same inputs and flags give the same bytes on every processor, so that a
// claim about a step can be checked by repeating it.
package llm

import _ "embed"

// Strings, not byte slices: nobody can change what Texts returns to others.
var (
	//go:embed data/tom-sawyer.txt
	embeddedGeneral string
	//go:embed data/opticks.txt
	embeddedDomain string
)

// Texts returns the text that the base model is trained on and the one that it is
// fine-tuned to. data/SOURCES.md says where they come from.
func Texts() (general, domain []byte) { return []byte(embeddedGeneral), []byte(embeddedDomain) }
