package place

import "slices"

// isFramework reports whether a component's field of that name says how to run one model:
// a container that lacks what the runtime adds, and where the model is.
func isFramework(name string) bool {
	switch name {
	case "model", "sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle", // of a predictor
		"art": // of an explainer
		return true
	}
	return false
}

// component looks at a pod that KServe completes, and at the models it gives it.
func (w *walk) component(n node) {
	if !w.object(n) {
		return
	}
	w.podSpec(n)
	w.annotations(n.key("annotations"))
	w.podSpec(n.key("workerSpec"))
	for _, s := range w.elements(n.key("storageUris"), "mountPath") {
		if w.object(s) {
			w.storage(s.key("uri"))
		}
	}
	for _, m := range w.members(n) {
		if name := n.keyOf(m); isFramework(name) || looksFramework(name, m) {
			w.framework(n.key(name))
		}
	}
}

// looksFramework recognises frameworks that are not known yet: they come with new versions
// of KServe and without a new version of the API.
func looksFramework(name string, n node) bool {
	m, ok := n.value.(map[string]any)
	if !ok || name == "logger" || name == "workerSpec" {
		return false // logger.storage is where requests are written to; workerSpec is a pod
	}
	return slices.ContainsFunc([]string{"storageUri", "storage", "image", "env", "envFrom", "command", "args"}, func(field string) bool {
		return m[field] != nil
	})
}

func (w *walk) framework(n node) {
	if !w.object(n) {
		return
	}
	w.container(n)
	w.storage(n.key("storageUri"))
	if s := n.key("storage"); s.value != nil {
		// A Secret says which store, so no text here says where the model comes from.
		w.problem(s, "names a path in a store that a Secret chooses")
	}
}

// llm looks at a model and the adapters put onto it, which are models again.
func (w *walk) llm(n node) {
	if !w.object(n) {
		return
	}
	w.storage(n.key("uri"))
	lora := n.key("lora")
	if !w.object(lora) {
		return
	}
	for _, a := range w.elements(lora.key("adapters"), "name") {
		w.deeper(a, func() { w.llm(a) })
	}
}
