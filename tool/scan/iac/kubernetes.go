package iac

import (
	"fmt"

	"github.com/haechi-dev/haechi/lang/guard"
)

// podTemplates are where the kinds that make pods say what these are like.
var podTemplates = map[string][]string{
	"Deployment": {"spec", "template"}, "DaemonSet": {"spec", "template"}, "StatefulSet": {"spec", "template"}, "ReplicaSet": {"spec", "template"},
	"ReplicationController": {"spec", "template"}, "Job": {"spec", "template"}, "CronJob": {"spec", "jobTemplate", "spec", "template"}, "PodTemplate": {"template"},
}

// isKubernetes tells whether a document is an object of Kubernetes, or a list of such.
func isKubernetes(root *value) bool {
	_, version := root.Get("apiVersion").Text()
	_, kind := root.Get("kind").Text()
	return version && kind
}

// kubernetes is a document of objects. Those that come twice get a number.
func kubernetes(name string, roots []*value) *guard.Document {
	var all []member
	seen := map[string]int{}
	add := func(id string, at *value, kind string, properties *value) {
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s #%d", id, seen[id])
		}
		all = append(all, resource(id, "Haechi::Kubernetes::"+kind, at, properties))
	}
	for _, o := range objects(roots, 0) {
		kind, _ := o.Get("kind").Text()
		id := objectID(kind, o)
		add(id, o, kind, o.Clone())
		path, ok := podTemplates[kind]
		if !ok {
			continue
		}
		template := o
		for _, step := range path {
			template = template.Get(step)
		}
		if template.IsMap() {
			add(objectID("Pod", o)+" of "+kind, template, "Pod", podOf(o, template))
		}
	}
	return guard.Made(guard.NewMap(pair(text("Resources"), guard.NewMap(all...))), name)
}

// resource is one of a document's, where at stands.
func resource(id, kind string, at, properties *value) member {
	return pair(text(id).As(at), guard.NewMap(named("Type", text(kind).As(at)), named("Properties", properties)).As(at))
}

// objects are all objects, those within lists too.
func objects(roots []*value, depth int) (all []*value) {
	const most = 3 // lists within lists
	for _, r := range roots {
		_, ok := r.Get("kind").Text()
		switch {
		case !ok || depth > most:
		case r.Get("items").IsList():
			all = append(all, objects(r.Get("items").Items(), depth+1)...)
		default:
			all = append(all, r)
		}
	}
	return all
}

func objectID(kind string, o *value) string {
	meta := o.Get("metadata")
	name, ok := meta.Get("name").Text()
	if !ok {
		if name, ok = meta.Get("generateName").Text(); !ok {
			name = "unnamed"
		}
	}
	if space, ok := meta.Get("namespace").Text(); ok {
		name = space + "/" + name
	}
	return kind + "/" + name
}

// podOf is the pod that a template makes, in the namespace of what makes it.
func podOf(o, template *value) *value {
	var meta []member
	for name, v := range template.Get("metadata").Members() {
		meta = append(meta, pair(name.Clone(), v.Clone()))
	}
	for _, key := range []string{"name", "namespace"} {
		if v := o.Get("metadata").Get(key); v != nil && template.Get("metadata").Get(key) == nil {
			meta = append(meta, named(key, v.Clone()))
		}
	}
	at := template.Get("metadata")
	if at == nil {
		at = template
	}
	pod := []member{named("apiVersion", text("v1").As(template)), named("kind", text("Pod").As(template)), named("metadata", guard.NewMap(meta...).As(at))}
	if spec := template.Get("spec"); spec != nil {
		pod = append(pod, named("spec", spec.Clone()))
	}
	return guard.NewMap(pod...).As(template)
}
