package inventory_test

import (
	"fmt"
	"testing"

	"github.com/haechi-dev/haechi/base/db/dbtest"
)

// What starts containers from an image is found by the image's name, with or without the registry, by tag or digest;
// not by a name that is the beginning of another, and not where something else names it.
func TestRunning(t *testing.T) {
	each(t, func(h house) {
		digest := "sha256:" + fmt.Sprintf("%064d", 7)
		for n, image := range []string{"registry.example/shop/api:1.2", "registry.example/shop/api:1.20", "registry.example/shop/web@" + digest} {
			h.importText(fmt.Sprintf(`{"version":"1.3","accountId":"111122223333","awsRegion":"ap-northeast-2","arn":"arn:aws:ecs:ap-northeast-2:111122223333:task-definition/t%[1]d:1","resourceType":"AWS::ECS::TaskDefinition","resourceId":"t%[1]d",
				"configurationItemStatus":"OK","configurationItemCaptureTime":1000,"configurationStateId":"1","tags":{},"configuration":"{\"ContainerDefinitions\":[{\"Image\":\"%[2]s\"}]}"}`, n, image))
		}
		h.importText(`{"version":"1.3","accountId":"111122223333","awsRegion":"ap-northeast-2","arn":"arn:aws:s3:::b","resourceType":"AWS::S3::Bucket","resourceId":"b","configurationItemStatus":"OK","configurationItemCaptureTime":1000,
			"configurationStateId":"1","tags":{"made":"shop/api:1.2"},"configuration":"{}"}`)
		for name, want := range map[string]string{"registry.example/shop/api:1.2": "t0", "shop/api:1.2": "t0", "shop/api:1.20": "t1", digest: "t2", "api:1": "", "": ""} {
			found, err := h.Running(dbtest.Context(h), []string{name}, 5)
			if err != nil {
				h.Fatal(err)
			}
			got := ""
			for _, item := range found[name] {
				got += item.ID
			}
			if got != want {
				h.Errorf("%s runs in %q, want %q", name, got, want)
			}
		}
	})
}
