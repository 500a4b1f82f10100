package build

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/tool/rootfs"
	"github.com/haechi-dev/haechi/word/fault"
)

// ImageStore has images from a folder and from registries that somebody allowed:
// who may push a buildspec must neither read the machine's files nor have it
// call whom he likes.
type ImageStore struct {
	Store      *rootfs.Store
	Folder     string   // of OCI layouts and archives, named oci:FILE; "" for none
	Registries []string // that images are pulled from: docker.io, ghcr.io; none where it is empty
}

// Image is an image in use, until it is closed.
func (s *ImageStore) Image(ctx context.Context, name string) (*rootfs.Root, error) {
	if file, ok := strings.CutPrefix(name, "oci:"); ok {
		if s.Folder == "" || !filepath.IsLocal(file) {
			return nil, fault.Invalid.Errorf("there is no image %.200q: builds.images.folder of haechi.yaml is where they lie", name)
		}
		return s.Store.File(ctx, filepath.Join(s.Folder, file))
	}
	if host := registryOf(name); !slices.Contains(s.Registries, host) {
		return nil, fault.Denied.Errorf("images of %s are not pulled here: builds.images.registries of haechi.yaml lists those that may be", host)
	}
	return s.Store.Pull(ctx, name)
}

// registryOf is the registry that an image's name says.
func registryOf(name string) string {
	host, _, ok := strings.Cut(name, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return host
}
