package site

import (
	"strings"
	"testing"
)

// What is wrong with a store is told without what may be a credential in it.
func TestFaultsOfStoresTellNoCredential(t *testing.T) {
	for _, store := range []string{
		"s3://AKIA:hunter2@bucket/prefix", "hunter2@bucket/prefix", "://u:hunter2@bucket", "s3://u:hunter2%zz@bucket/x", "file://u:hunter2@host/x",
		"s3://bucket/x?secret_key=hunter2", "s3://bucket/x?region=a&token=hunter2", "s3:///x?password=hunter2", "bucket?sig=hunter2",
		"azblob://c/x?sv=1&sig=hunter2", "file:///x?secret_key_path=/hunter2", "s3://bucket/x?region=%hunter2", "s3://bucket/#hunter2", "gs:///?x=hunter2#y",
		"s3://b\x7f/u:hunter2@x",
	} {
		got := StoreFault(store)
		if got == "" || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %q", store, got)
		}
	}
	for _, store := range []string{
		"file:///shared/ckpt", "s3://bucket/prefix?region=us-east-1&endpoint=http://127.0.0.1:9000&use_path_style=true&disable_https=true",
		"azblob://c/p?storage_account=devstoreaccount1&protocol=http&domain=127.0.0.1:10000&localemu=true", "gs://bucket/prefix", "s3://bucket?awssdk=v2",
	} {
		if got := StoreFault(store); got != "" {
			t.Errorf("%s: %s", store, got)
		}
	}
}
