package image

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/haechi-dev/haechi/word/fault"
)

// Registry says how registries are reached.
type Registry struct {
	// Transport carries the calls: on a server, the one that keeps to what may be
	// reached from there. nil is the standard library's, which reaches everything.
	Transport http.RoundTripper
	// Keys are the credentials that docker login keeps for whoever runs this; else nobody signs in.
	Keys bool
}

// Pull reads the description of an image in a registry: shop:1.4, ghcr.io/acme/shop@sha256:…
// The layers come when they are unpacked; ctx is for them, too.
func Pull(ctx context.Context, reference string, r Registry, o Options) (*Image, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return nil, fault.Invalid.Errorf("%q is not the name of an image: %w", reference, err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(cmp.Or(r.Transport, http.DefaultTransport))}
	if r.Keys {
		options = append(options, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	}
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	got, err := puller.Get(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", ref.Context().RegistryStr(), reference, err)
	}
	if len(got.Manifest) > largestManifest {
		return nil, fault.Limit.Errorf("%s: its manifest has more than %d bytes", reference, largestManifest)
	}
	get := getter(func(ctx context.Context, d descriptor) (blob, error) {
		if d.MediaType != "" && isManifest(d.MediaType) {
			inner, err := puller.Get(ctx, ref.Context().Digest(d.Digest))
			if err != nil {
				return blob{}, err
			}
			return blob{io.NopCloser(bytes.NewReader(inner.Manifest)), nil, int64(len(inner.Manifest))}, nil
		}
		layer, err := puller.Layer(ctx, ref.Context().Digest(d.Digest))
		if err != nil {
			return blob{}, err
		}
		content, err := layer.Compressed()
		if err != nil {
			return blob{}, err
		}
		return blob{content, nil, d.Size}, nil
	})
	img := &Image{Name: reference, options: o}
	// The digest that the registry says was checked against the text by remote.Get.
	if err := img.choose(ctx, descriptor{Digest: got.Digest.String()}, got.Manifest, get, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	return img, nil
}

func isManifest(mediaType string) bool {
	switch mediaType {
	case "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.distribution.manifest.list.v2+json":
		return true
	}
	return false
}
