package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/word/fault"
)

// Bounds of what describes an image: far above what real ones have.
const (
	largestManifest = 4 << 20
	largestConfig   = 8 << 20
	deepestIndex    = 3
)

// What is read of the image specification: https://github.com/opencontainers/image-spec
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
	Platform    *platform         `json:"platform"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant"`
}

func (p *platform) String() string {
	if p == nil {
		return "no platform"
	}
	return strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
}

// document is an index or a manifest: which, tells what it holds.
type document struct {
	MediaType   string            `json:"mediaType"`
	Schema      int               `json:"schemaVersion"`
	Manifests   []descriptor      `json:"manifests"`
	Config      descriptor        `json:"config"`
	Layers      []descriptor      `json:"layers"`
	Annotations map[string]string `json:"annotations"`
}

type configFile struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Config       struct {
		User         string                    `json:"User"`
		Env          []string                  `json:"Env"`
		Labels       map[string]string         `json:"Labels"`
		ExposedPorts map[string]jsontext.Value `json:"ExposedPorts"`
		Entrypoint   []string                  `json:"Entrypoint"`
		Cmd          []string                  `json:"Cmd"`
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		CreatedBy string `json:"created_by"`
		Empty     bool   `json:"empty_layer"`
	} `json:"history"`
}

// getter opens what a descriptor describes.
type getter func(ctx context.Context, d descriptor) (blob, error)

// hexOf is the hexadecimal part of a digest of SHA-256, the one that everybody uses.
func hexOf(digest string) (string, error) {
	h, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(h) != 64 || strings.Trim(h, "0123456789abcdef") != "" {
		return "", wrong("%.100q is no digest of SHA-256", digest)
	}
	return h, nil
}

// text reads a small blob whole, and holds it against its digest.
func (get getter) text(ctx context.Context, d descriptor, most int64) ([]byte, error) {
	want, err := hexOf(d.Digest)
	if err != nil {
		return nil, err
	}
	if d.Size > most {
		return nil, fault.Limit.Errorf("%s: %d bytes are more than the %d that are read of a description", short(d.Digest), d.Size, most)
	}
	b, err := get(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	text, err := io.ReadAll(io.LimitReader(b, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > most {
		return nil, fault.Limit.Errorf("%s: more than the %d bytes that are read of a description", short(d.Digest), most)
	}
	if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != want {
		return nil, wrong("%s is not what it says: its digest is sha256:%x", d.Digest, got)
	}
	return text, nil
}

func parse(what string, text []byte, into any) error {
	if err := json.Unmarshal(text, into); err != nil {
		return wrong("%s: %w", what, err)
	}
	return nil
}

// choose follows d, through indexes, to the manifest of the one image for the platform that was asked for.
func (img *Image) choose(ctx context.Context, d descriptor, text []byte, get getter, depth int) error {
	var doc document
	if err := parse("the manifest "+short(d.Digest), text, &doc); err != nil {
		return err
	}
	if img.Annotations == nil {
		img.Annotations = map[string]string{}
	}
	maps.Copy(img.Annotations, doc.Annotations)
	if len(doc.Manifests) == 0 {
		return img.describe(ctx, d, doc, get)
	}
	if depth == deepestIndex {
		return fault.Limit.Errorf("indexes that are nested more than %d deep", deepestIndex)
	}
	next, err := pick(doc.Manifests, img.options)
	if err != nil {
		return err
	}
	maps.Copy(img.Annotations, next.Annotations)
	if text, err = get.text(ctx, next, largestManifest); err != nil {
		return err
	}
	return img.choose(ctx, next, text, get, depth+1)
}

// pick is the one image among those of an index that is meant.
func pick(all []descriptor, o Options) (descriptor, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(d descriptor) bool { // what was attested of an image is none
		return d.Annotations["vnd.docker.reference.type"] != "" || d.Platform != nil && d.Platform.OS == "unknown"
	})
	if len(all) == 1 && (o.Platform == "" || all[0].Platform == nil) {
		return all[0], nil
	}
	var fit []descriptor
	var names []string
	for _, d := range all {
		name := d.Platform.String()
		if ref := d.Annotations["org.opencontainers.image.ref.name"]; ref != "" {
			name += " (" + ref + ")"
		}
		names = append(names, name)
		if have := d.Platform.String(); have == o.system() || strings.HasPrefix(have, o.system()+"/") {
			fit = append(fit, d)
		}
	}
	if len(fit) == 1 || len(fit) > 1 && fit[0].Digest == fit[len(fit)-1].Digest {
		return fit[0], nil
	}
	what := "there are several images"
	if len(fit) == 0 {
		what = "there is no image"
	}
	return descriptor{}, wrong("%s for %s here: %.1000s", what, o.system(), strings.Join(names, ", "))
}

// describe reads a manifest and the configuration that it names.
func (img *Image) describe(ctx context.Context, d descriptor, doc document, get getter) error {
	if len(doc.Layers) > mostLayers {
		return fault.Limit.Errorf("%d layers are more than the %d that an image may have", len(doc.Layers), mostLayers)
	}
	if doc.Config.Digest == "" {
		return wrong("the manifest %s names no configuration: this is no container image", short(d.Digest))
	}
	text, err := get.text(ctx, doc.Config, largestConfig)
	if err != nil {
		return err
	}
	img.Digest = d.Digest
	for _, l := range doc.Layers {
		if _, err := hexOf(l.Digest); err != nil {
			return err
		}
		img.Layers = append(img.Layers, &Layer{Digest: l.Digest, named: l.Digest, Size: l.Size, open: func(ctx context.Context) (blob, error) { return get(ctx, l) }})
	}
	return img.configure(text)
}

// configure reads a configuration, and gives each layer its command.
func (img *Image) configure(text []byte) error {
	var c configFile
	if err := parse("the configuration", text, &c); err != nil {
		return err
	}
	if len(c.RootFS.DiffIDs) != len(img.Layers) {
		return wrong("the configuration speaks of %d layers, the manifest of %d", len(c.RootFS.DiffIDs), len(img.Layers))
	}
	img.Config = Config{Architecture: c.Architecture, OS: c.OS, User: c.Config.User, Env: c.Config.Env, Labels: c.Config.Labels,
		Ports: slices.Sorted(maps.Keys(c.Config.ExposedPorts)), Entrypoint: c.Config.Entrypoint, Command: c.Config.Cmd}
	next := 0
	for _, h := range c.History {
		step := Step{Command: strings.ToValidUTF8(h.CreatedBy, "\uFFFD"), Layer: -1}
		if !h.Empty && next < len(img.Layers) {
			step.Layer = next
			img.Layers[next].Command = command(h.CreatedBy)
			next++
		}
		img.Config.History = append(img.Config.History, step)
	}
	for i, l := range img.Layers {
		if _, err := hexOf(c.RootFS.DiffIDs[i]); err != nil {
			return err
		}
		l.index, l.DiffID = i, c.RootFS.DiffIDs[i]
		if l.Digest == "" {
			l.Digest = l.DiffID
		}
	}
	return nil
}

// command is a step of a history as people wrote it: without the shell that
// runs it, and without the arguments of the build, which may be secrets.
func command(by string) string {
	by = strings.TrimSpace(strings.ToValidUTF8(by, "\uFFFD"))
	if rest, ok := strings.CutPrefix(by, "RUN |"); ok {
		by = "|" + rest
	}
	if strings.HasPrefix(by, "|") {
		if _, rest, ok := strings.Cut(by, "/bin/sh -c "); ok {
			by = "/bin/sh -c " + rest
		} else {
			return "RUN (with build arguments)"
		}
	}
	if rest, ok := strings.CutPrefix(by, "RUN /bin/sh -c "); ok {
		by = "/bin/sh -c " + rest
	}
	if rest, ok := strings.CutPrefix(by, "/bin/sh -c #(nop)"); ok {
		by = rest
	} else if rest, ok := strings.CutPrefix(by, "/bin/sh -c "); ok {
		by = "RUN " + rest
	}
	by = strings.TrimSuffix(strings.TrimSpace(by), "# buildkit")
	by = strings.Join(strings.Fields(by), " ")
	if len(by) > 300 {
		by = strings.ToValidUTF8(by[:297], "") + "…"
	}
	return by
}
