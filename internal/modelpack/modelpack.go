// Package modelpack knows what kind of file a path names in a CNCF ModelPack
// artifact: weights, the weights' configuration, documentation, code or data.
//
// The kind is part of a layer's media type, and media types are part of what is
// hashed. So the table is as much a format as any: it has a version, and a change
// to it gives every artifact packed from then on another digest.
package modelpack

import (
	"path"
	"strings"
)

// Version is the version of the table of extensions.
const Version = 1

// A Kind is one of the kinds of layers of the CNCF model specification.
type Kind string

// The kinds of the model specification, section "Layers".
const (
	Weight       Kind = "weight"
	WeightConfig Kind = "weight.config"
	Doc          Kind = "doc"
	Code         Kind = "code"
	Dataset      Kind = "dataset"
)

// RawMediaType returns the media type of an uncompressed, unarchived file of
// kind k.
func (k Kind) RawMediaType() string { return "application/vnd.cncf.model." + string(k) + ".v1.raw" }

// KindOf returns the kind of the file p in a model. It looks at the name alone:
// first at whole names, then at the extension, without regard to case. What is
// not in the table is a weight, so that a rule about weights misses none.
func KindOf(p string) Kind {
	base := strings.ToLower(path.Base(p))
	switch base {
	case "readme", "license", "licence", "notice", "copying", "authors", "changelog", "citation", "model_card", "modelcard":
		return Doc
	case "makefile", "dockerfile":
		return Code
	case ".gitattributes", ".gitignore", "merges.txt", "vocab.txt", "special_tokens_map.json":
		return WeightConfig
	case "requirements.txt":
		return Code
	}
	switch path.Ext(base) {
	case ".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".jinja", ".jinja2", ".tiktoken", ".vocab", ".config", ".modelfile", ".spm":
		return WeightConfig
	case ".md", ".rst", ".txt", ".pdf", ".html", ".htm", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".tex", ".bib", ".cff", ".docx":
		return Doc
	case ".py", ".ipynb", ".sh", ".go", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".rs", ".js", ".ts", ".java", ".r", ".jl", ".sql", ".lock", ".patch":
		return Code
	case ".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".avro", ".orc", ".tfrecord", ".xlsx", ".libsvm":
		return Dataset
	}
	return Weight
}

// KindIn returns the kind of the file p in an artifact that as a whole is of
// kind whole. In a model the table decides. In a data set, a code tree or
// documentation every file is of that kind, a licence or read-me beside the data
// excepted: a JSON file in a data set is data, not the configuration of weights.
func KindIn(whole Kind, p string) Kind {
	switch k := KindOf(p); whole {
	case Dataset, Code:
		if stem, _, _ := strings.Cut(path.Base(p), "."); k == Doc && KindOf(stem) == Doc {
			return Doc
		}
		return whole
	case Doc:
		return Doc
	default:
		return k
	}
}
