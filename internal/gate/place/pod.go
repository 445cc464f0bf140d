package place

import "strings"

// isKServeAnnotation reports whether an annotation hands a model's URI from KServe's
// controller to its webhook, which makes a container of it: who may write pods may write
// it too.
func isKServeAnnotation(name string) bool {
	return name == "internal.serving.kserve.io/storage-initializer-sourceuri" ||
		name == "internal.serving.kserve.io/localmodel-sourceuri"
}

// annotations keeps the annotations at n that hold references.
func (w *walk) annotations(n node) {
	for _, a := range w.members(n) {
		switch name := n.keyOf(a); {
		case isKServeAnnotation(name):
			w.storage(a)
		case w.notes[name]:
			w.named(a, stranger)
		}
	}
}

// keyOf gives back the key under which a, a member of n, stands.
func (n node) keyOf(a node) string {
	k := strings.TrimPrefix(a.pointer, n.pointer+"/")
	return strings.ReplaceAll(strings.ReplaceAll(k, "~1", "/"), "~0", "~")
}

// template looks at a pod template: metadata and spec.
func (w *walk) template(n node) {
	if !w.object(n) {
		return
	}
	w.metadata(n.key("metadata"))
	w.podSpec(n.key("spec"))
}

func (w *walk) metadata(n node) {
	if w.object(n) {
		w.annotations(n.key("annotations"))
	}
}

// podSpec looks at what a pod's containers are started from, are told, and mount.
func (w *walk) podSpec(n node) {
	if !w.object(n) {
		return
	}
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, c := range w.elements(n.key(list), "name") {
			w.container(c)
		}
	}
	for _, v := range w.elements(n.key("volumes"), "name") {
		w.volume(v)
	}
}

// container looks at one container, or at what has a container's fields.
func (w *walk) container(n node) {
	if !w.object(n) {
		return
	}
	w.image(n.key("image"))
	w.strings(n.key("command"))
	w.strings(n.key("args"))
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		w.handler(n.key(probe))
	}
	if life := n.key("lifecycle"); w.object(life) {
		w.handler(life.key("postStart"))
		w.handler(life.key("preStop"))
	}
	w.environment(n)
}

// handler looks at the command that a probe or a hook runs in the container.
func (w *walk) handler(n node) {
	if w.object(n) && w.object(n.key("exec")) {
		w.strings(n.key("exec").key("command"))
	}
}

// strings looks for models' URIs in a list of texts.
func (w *walk) strings(n node) {
	for _, s := range w.elements(n, "") {
		w.scan(s)
	}
}

// environment looks at the variables of the container n.
func (w *walk) environment(n node) {
	set := w.variables(n.key("env"))
	for _, from := range w.elements(n.key("envFrom"), "") {
		if !w.object(from) {
			continue
		}
		prefix, _ := w.text(from.key("prefix"))
		for _, name := range sortedKeys(w.environments) {
			if !set[name] && strings.HasPrefix(name, prefix) {
				w.problem(from, "may set "+name+" to what stands elsewhere and cannot be read")
				break
			}
		}
	}
}

// variables looks at a list of variables, and returns the names that it gives a value.
func (w *walk) variables(n node) map[string]bool {
	set := map[string]bool{}
	for _, e := range w.elements(n, "name") {
		if !w.object(e) {
			continue
		}
		name, _ := e.key("name").value.(string)
		set[name] = true
		value := e.key("value")
		value.place = e.place // env[MODEL], which is how people speak of it
		switch listed := w.environments[name]; {
		case listed && e.key("valueFrom").value != nil:
			w.problem(e, "takes its value from elsewhere, where it cannot be read")
		case w.kserve && name == "STORAGE_URI":
			w.storage(value)
		case listed:
			w.named(value, stranger)
		default:
			w.scan(value)
		}
	}
	return set
}

// volume looks at what a volume is filled from: an image, or what a driver is told.
func (w *walk) volume(n node) {
	if !w.object(n) {
		return
	}
	if image := n.key("image"); w.object(image) {
		w.image(image.key("reference"))
	}
	if git := n.key("gitRepo"); w.object(git) {
		w.storage(git.key("repository"))
	}
	if csi := n.key("csi"); w.object(csi) {
		w.csi(csi)
	}
}

// csi looks at the attributes that a volume gives to a driver. Drivers that mount an
// artifact from a registry take its name there.
func (w *walk) csi(n node) {
	driver, _ := n.key("driver").value.(string)
	attributes := n.key("volumeAttributes")
	for _, a := range w.members(attributes) {
		if by, ok := csiReference(driver, attributes.keyOf(a)); ok {
			w.named(a, by)
		} else {
			w.scan(a)
		}
	}
}

// csiReference reports whether a driver takes the attribute for a reference, and how it
// reads it.
func csiReference(driver, attribute string) (by reader, ok bool) {
	switch driver {
	case "model.csi.modelpack.org":
		return stranger, attribute == "model.csi.modelpack.org/reference" || attribute == "modelRef"
	case "container-image.csi.k8s.io", "csi-image.warm-metal.tech": // pull through the container runtime
		return kubelet, attribute == "image"
	}
	return stranger, false
}
