// The mask of one picture by an exported file, without Python:
//     streetscale_mask model.xml street.png mask.png
// The file is one that scripts/export.py --uint8 has written: it takes a picture as it is, and gives its classes.

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb_image_write.h>

namespace {

// What the file says of itself, as text; lists are JSON.
std::string fact(const std::shared_ptr<ov::Model>& model, const std::string& name) {
    if (!model->has_rt_info({"streetscale", name})) {
        throw std::runtime_error("the file does not say its " + name + ": write it by scripts/export.py");
    }
    return model->get_rt_info<std::string>({"streetscale", name});
}

// A JSON list of whole numbers: "[7, 8, 11]".
std::vector<int> numbers(std::string text) {
    for (char& letter : text) {
        letter = letter == '[' || letter == ']' || letter == ',' ? ' ' : letter;
    }
    std::istringstream stream(text);
    std::vector<int> found;
    for (int number; stream >> number;) {
        found.push_back(number);
    }
    return found;
}

void write_mask(const std::string& model_path, const char* picture_path, const char* mask_path) {
    ov::Core core;
    const auto model = core.read_model(model_path);
    if (fact(model, "input").rfind("uint8", 0) != 0 || fact(model, "output") != "argmax") {
        throw std::runtime_error("the file does not take pictures and give classes: export it with --uint8");
    }
    // The label value of each class; without any the classes are their own.
    const auto ids = numbers(fact(model, "label_ids"));
    if (!ids.empty() && *std::max_element(ids.begin(), ids.end()) > 255) {
        throw std::runtime_error("label values above 255 need 16 bits, which this example does not write");
    }

    int width = 0, height = 0, channels = 0;
    const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
        stbi_load(picture_path, &width, &height, &channels, 3), stbi_image_free);  // (H, W, 3) RGB
    if (!pixels) {
        throw std::runtime_error(std::string(picture_path) + ": " + stbi_failure_reason());
    }
    const auto size = numbers(fact(model, "size"));  // none: any from 64 on
    if (size.empty() && std::min(height, width) < 64) {
        throw std::runtime_error("the file takes sides from 64 on; the demo enlarges such pictures, this example does not");
    }
    if (!size.empty() && (size.at(0) != height || size.at(1) != width)) {
        throw std::runtime_error("the file takes pictures of " + std::to_string(size[0]) + "x" + std::to_string(size[1]));
    }

    // Masks are proved in float32; by itself OpenVINO takes bfloat16 where it can.
    const bool half = fact(model, "precision") == "fp16";
    auto request = core.compile_model(model, "CPU", ov::hint::inference_precision(half ? ov::element::f16 : ov::element::f32))
                       .create_infer_request();
    const ov::Shape shape{1, static_cast<std::size_t>(height), static_cast<std::size_t>(width), 3};
    request.set_input_tensor(ov::Tensor(ov::element::u8, shape, pixels.get()));
    request.infer();
    const auto found = request.get_output_tensor();  // (1, H, W) int32
    const auto* classes = found.data<std::int32_t>();
    std::vector<std::uint8_t> mask(found.get_size());
    for (std::size_t i = 0; i < mask.size(); ++i) {
        mask[i] = static_cast<std::uint8_t>(ids.empty() ? classes[i] : ids.at(static_cast<std::size_t>(classes[i])));
    }
    if (!stbi_write_png(mask_path, width, height, 1, mask.data(), width)) {
        throw std::runtime_error(std::string("cannot write ") + mask_path);
    }
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) {
        std::cerr << "usage: streetscale_mask model.xml picture mask.png\n";
        return 2;
    }
    try {
        write_mask(words[1], words[2], words[3]);
    } catch (const std::exception& error) {
        std::cerr << "error: " << error.what() << '\n';
        return 2;
    }
    return 0;
}
