package place

import "strings"

// modelSchemes are the schemes by which a URI in an argument or a variable is taken for a
// model. Others are not: an https:// or grpc:// there is nearly always a service, and a
// file:// names what an image or a volume put there. Fields that can hold nothing but a
// model's URI are read with any scheme.
func modelSchemes() []string {
	return []string{
		"oci", "docker", "ocidir", "modelpack", // references to a registry or a layout
		"hf", "hf-mount", "huggingface", "modelscope", "kaggle", "ngc", "ollama", "mlflow", "wandb", // hubs of models
		"s3", "s3a", "s3n", "gs", "gcs", "az", "azure", "azureml", "abfs", "abfss", "wasb", "wasbs", "oss", "cos", "obs", "r2", "b2", // object stores
		"hdfs", "webhdfs", "pvc", "nfs", "juicefs", "cephfs", "alluxio", // file systems that hold models
	}
}

// span is a part of a text.
type span struct{ from, to int }

// scan keeps every URI of a model in the text at n. One alone can be replaced, wherever
// in the text it stands; of several none can, because a patch gives the whole text.
func (w *walk) scan(n node) {
	s, ok := w.text(n)
	if !ok {
		return
	}
	spans := uris(s)
	if len(spans) > maxFound {
		w.fail(overLimit(n.place, "names more than %d things", maxFound))
		return
	}
	for _, u := range spans {
		f := part(n, s[:u.from], s[u.from:u.to], s[u.to:], stranger)
		if len(spans) > 1 {
			f.Pointer = ""
		}
		w.add(n, f)
	}
}

// uris finds the URIs of models in s: each from its scheme to where it ends or the next
// one begins, so that none hides behind another.
func uris(s string) []span {
	const mark = "://"
	schemes := modelSchemes()
	var out []span
	for at := 0; len(out) <= maxFound; {
		i := strings.Index(s[at:], mark)
		if i < 0 {
			break
		}
		if n := schemeBefore(s[at:at+i], schemes); n > 0 {
			out = append(out, span{at + i - n, len(s)})
		}
		at += i + len(mark)
	}
	for i := range out {
		limit := len(s)
		if i+1 < len(out) {
			limit = out[i+1].from
		}
		out[i].to = uriStop(s[:limit], out[i].from)
	}
	return out
}

// schemeBefore returns the length of the scheme of models that s ends with, and 0 if there
// is none. What stands before it may join words (--model-oci://…) and must not be part of
// one: no scheme ends in another one after a joint.
func schemeBefore(s string, schemes []string) int {
	for _, m := range schemes {
		rest := len(s) - len(m)
		if rest >= 0 && strings.EqualFold(s[rest:], m) && (rest == 0 || !letterOrDigit(s[rest-1])) {
			return len(m)
		}
	}
	return 0
}

func letterOrDigit(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// uriEnd are the characters that end a URI in a longer text: of a shell's words, of
// lists, of JSON.
const uriEnd = " \t\r\n\"'`,;|&<>()[]\\"

// uriStop returns where the URI that begins at from ends. What is filled in later,
// $(VAR) and {{.Name}}, is part of it.
func uriStop(s string, from int) int {
	for i := from; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "$(") || strings.HasPrefix(s[i:], "{{"):
			closing := ")"
			if s[i] == '{' {
				closing = "}}"
			}
			end := strings.Index(s[i:], closing)
			if end < 0 {
				return len(s)
			}
			i += end + len(closing) - 1
		case strings.IndexByte(uriEnd, s[i]) >= 0:
			return i
		}
	}
	return len(s)
}
