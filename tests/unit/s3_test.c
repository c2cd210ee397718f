/* What is said to the storage, and what its answers mean. */
#include "edge/s3.h"
#include "tap.h"

static struct depot_config with(char *endpoint, char *prefix, bool path_style)
{
    static char bucket[] = "raw", region[] = "eu-1";

    return (struct depot_config){.bucket = bucket,
                                 .region = region,
                                 .prefix = prefix,
                                 .endpoint = endpoint,
                                 .path_style = path_style};
}

static void an_object_has_one_url_in_each_style(void)
{
    char http[] = "http://127.0.0.1:9000", https[] = "https://s3.eu-1.amazonaws.com";
    char prefix[] = "a/b", none[] = "";
    struct depot_config path = with(http, prefix, true);
    struct depot_config host = with(https, prefix, false);
    struct depot_config bare = with(https, none, false);
    auto_free char *first = s3_url(&path, "0f/x.zst", NULL);
    auto_free char *second = s3_url(&host, "0f/x.zst", "uploads=");
    auto_free char *third = s3_url(&bare, "0f/x.zst", NULL);

    CHECK_STR(first, "http://127.0.0.1:9000/raw/a/b/0f/x.zst");
    CHECK_STR(second, "https://raw.s3.eu-1.amazonaws.com/a/b/0f/x.zst?uploads=");
    CHECK_STR(third, "https://raw.s3.eu-1.amazonaws.com/0f/x.zst");
}

static void queries_are_sorted_and_encoded_as_the_signature_wants_them(void)
{
    auto_free char *part = s3_query_part(12, "a+b/c=d ~%e");
    auto_free char *whole = s3_query_part(0, "plain-id_1.x");

    CHECK_STR(part, "partNumber=12&uploadId=a%2Bb%2Fc%3Dd%20~%25e");
    CHECK_STR(whole, "uploadId=plain-id_1.x");
}

static void parts_are_as_small_as_their_number_allows(void)
{
    uint64_t huge = (uint64_t)S3_WHOLE_MAX * S3_PARTS_MAX;

    CHECK_INT(s3_part_size(1), S3_WHOLE_MAX);
    CHECK_INT(s3_parts(S3_WHOLE_MAX), 1);
    CHECK_INT(s3_parts(S3_WHOLE_MAX + 1), 2);
    CHECK_INT(s3_parts(huge), S3_PARTS_MAX);
    CHECK_INT(s3_parts(huge + 1), S3_PARTS_MAX);
    CHECK(s3_part_size(huge + 1) > S3_WHOLE_MAX);
}

static void text_of_an_answer_is_found_and_bounded(void)
{
    char out[16];

    CHECK(s3_xml_text("<a><UploadId>x&amp;y&#34;</UploadId></a>", "UploadId", out, sizeof out));
    CHECK_STR(out, "x&y\"");
    CHECK(!s3_xml_text("<a></a>", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId></UploadId>", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId>0123456789abcdef</UploadId>", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId>cut off", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId><b>x</b></UploadId>", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId>a\nb</UploadId>", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId>a&unknown;</UploadId>", "UploadId", out, sizeof out));
    CHECK(!s3_xml_text("<UploadId>\033[2J</UploadId>", "UploadId", out, sizeof out));
}

#define ERROR_OF(code) "<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code></Error>"

static void answers_are_told_apart(void)
{
    static const struct {
        long status;
        const char *body;
        enum s3_means means;
        const char *code;
    } rows[] = {
        {200, NULL, S3_OK, ""},
        {204, "", S3_OK, ""},
        {200, ERROR_OF("InternalError"), S3_AGAIN, "InternalError"},
        {0, NULL, S3_AGAIN, ""},
        {500, ERROR_OF("InternalError"), S3_AGAIN, "InternalError"},
        {503, ERROR_OF("SlowDown"), S3_AGAIN, "SlowDown"},
        {429, "not xml", S3_AGAIN, ""},
        {408, NULL, S3_AGAIN, ""},
        {400, ERROR_OF("RequestTimeout"), S3_AGAIN, "RequestTimeout"},
        {400, ERROR_OF("BadDigest"), S3_AGAIN, "BadDigest"},
        {400, ERROR_OF("InvalidArgument"), S3_REFUSED, "InvalidArgument"},
        {403, ERROR_OF("AccessDenied"), S3_REFUSED, "AccessDenied"},
        {403, NULL, S3_REFUSED, ""},
        {404, ERROR_OF("NoSuchBucket"), S3_REFUSED, "NoSuchBucket"},
        {404, ERROR_OF("NoSuchKey"), S3_ABSENT, "NoSuchKey"},
        {404, NULL, S3_ABSENT, ""},
        {404, ERROR_OF("NoSuchUpload"), S3_LOST, "NoSuchUpload"},
        {400, ERROR_OF("InvalidPart"), S3_LOST, "InvalidPart"},
        {307, NULL, S3_REFUSED, ""},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char code[S3_CODE_SIZE];

        CHECK_INT(s3_answer(rows[i].status, rows[i].body, code), rows[i].means);
        CHECK_STR(code, rows[i].code);
    }
}

static void waiting_doubles_up_to_five_minutes_with_jitter(void)
{
    CHECK_INT(s3_wait_ms(S3_AGAIN, 1, 0), 1000);
    CHECK_INT(s3_wait_ms(S3_AGAIN, 2, 0), 2000);
    CHECK_INT(s3_wait_ms(S3_AGAIN, 9, 0), 256000);
    CHECK_INT(s3_wait_ms(S3_AGAIN, 10, 0), S3_RETRY_MAX_MS);
    CHECK_INT(s3_wait_ms(S3_AGAIN, 4000000000U, 0), S3_RETRY_MAX_MS);
    CHECK_INT(s3_wait_ms(S3_REFUSED, 1, 0), S3_RETRY_MAX_MS);
    for (uint32_t random = 0; random < 5000; random++) {
        uint32_t ms = s3_wait_ms(S3_AGAIN, 3, random);

        CHECK(ms >= 3000 && ms <= 4000);
    }
}

static void the_parts_of_an_upload_are_listed_in_order(void)
{
    auto_strvec tags = {0};
    auto_buf out = {0};

    strvec_push(&tags, "\"a\"");
    strvec_push(&tags, "b&<");
    s3_complete_body(&out, &tags);
    CHECK_STR(out.data, "<CompleteMultipartUpload>"
                        "<Part><PartNumber>1</PartNumber><ETag>&quot;a&quot;</ETag></Part>"
                        "<Part><PartNumber>2</PartNumber><ETag>b&amp;&lt;</ETag></Part>"
                        "</CompleteMultipartUpload>");
}

TESTS(an_object_has_one_url_in_each_style,
      queries_are_sorted_and_encoded_as_the_signature_wants_them,
      parts_are_as_small_as_their_number_allows, text_of_an_answer_is_found_and_bounded,
      answers_are_told_apart, waiting_doubles_up_to_five_minutes_with_jitter,
      the_parts_of_an_upload_are_listed_in_order)
